/**
 * What this machine allows: cgroup driver, OOM scores, overlay mounts, the default of the FORWARD chain. Parsing is
 * pure; the reads are at the end. Not for: what the configuration says.
 */

const CAP_SYS_RESOURCE = 24n;

/** systemd keeps the cgroup tree only where it is PID 1 and there is one tree (cgroup v2). */
export function chooseCgroupDriver(host: { systemd: boolean; unified: boolean }): "cgroupfs" | "systemd" {
  return host.systemd && host.unified ? "systemd" : "cgroupfs";
}

/** Whether lowering an oom_score_adj is beyond us, from /proc/self/status and /proc/self/uid_map. */
export function mustRestrictOomScoreAdj(status: string, uidMap: string): boolean {
  const capEff = /^CapEff:\s*([0-9a-fA-F]+)/m.exec(status)?.[1];
  const capable = capEff !== undefined && (BigInt(`0x${capEff}`) >> CAP_SYS_RESOURCE & 1n) === 1n;
  const [inside, outside, count] = uidMap.trim().split(/\s+/);
  const initialNamespace = inside === "0" && outside === "0" && count === "4294967295";
  return !capable || !initialNamespace;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Both answers for this machine. */
export async function detectHost(): Promise<
  { cgroupDriver: "cgroupfs" | "systemd"; restrictOomScoreAdj: boolean }
> {
  const [systemd, unified, status, uidMap] = await Promise.all([
    exists("/run/systemd/system"),
    exists("/sys/fs/cgroup/cgroup.controllers"),
    Deno.readTextFile("/proc/self/status"),
    Deno.readTextFile("/proc/self/uid_map"),
  ]);
  return {
    cgroupDriver: chooseCgroupDriver({ systemd, unified }),
    restrictOomScoreAdj: mustRestrictOomScoreAdj(status, uidMap),
  };
}

/** The end of a program: exit status and what it said. */
export async function runProgram(
  argv: string[],
  options: { env?: Record<string, string>; stdin?: string } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const child = new Deno.Command(argv[0]!, {
      args: argv.slice(1),
      env: options.env ?? {},
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    if (options.stdin !== undefined) {
      await feed(child.stdin, options.stdin);
    }
    const { code, stdout, stderr } = await child.output();
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { code: 127, stdout: "", stderr: `${argv[0]}: not found` };
    }
    throw error;
  }
}

/** A program may end without having read all; what it answers is what counts. */
async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/**
 * overlayfs where the file system below `root` can carry it, found out by mounting one. A root that already holds
 * overlay snapshots keeps them: changing the snapshotter would lose every unpacked image.
 */
export async function chooseSnapshotter(root: string): Promise<"overlayfs" | "native"> {
  if (await exists(`${root}/io.containerd.snapshotter.v1.overlayfs/metadata.db`)) return "overlayfs";
  const trial = await Deno.makeTempDir({ dir: root, prefix: ".overlay-trial-" });
  const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((d) => `${trial}/${d}`);
  try {
    await Promise.all([lower, upper, work, merged].map((d) => Deno.mkdir(d!)));
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    const mounted = await runProgram(["mount", "-t", "overlay", "-o", options, "overlay", merged!]);
    if (mounted.code !== 0) return "native";
    await runProgram(["umount", merged!]);
    return "overlayfs";
  } finally {
    await Deno.remove(trial, { recursive: true }).catch(() => undefined);
  }
}

/** Whether the host drops forwarded packets unless told otherwise, as after a start of Docker. */
export async function dropsForwarding(): Promise<boolean> {
  const { code, stdout } = await runProgram(["iptables", "-S", "FORWARD"]);
  return code === 0 && /^-P FORWARD (DROP|REJECT)/m.test(stdout);
}
