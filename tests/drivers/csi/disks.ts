/**
 * The driver's volumes on a real machine: image files with ext4 through loop devices, directories, tmpfs. Everything can
 * be repeated. Not for: gRPC.
 */
import { dirname, join } from "@std/path";
import { statfsSync } from "node:fs";
import { Code, RpcError } from "../../../plugins/rpc/mod.ts";
import { parseMountInfo } from "../../../agent/lib/mountinfo.ts";

export interface VolumeRecord {
  id: string;
  name: string;
  bytes: number;
  kind: "ext4" | "directory";
  /** Published to this node by the controller. */
  attached: boolean;
}

async function run(...argv: [string, ...string[]]): Promise<string> {
  const [program, ...args] = argv;
  const { code, stdout, stderr } = await new Deno.Command(program, { args, env: { LC_ALL: "C" } }).output();
  const said = new TextDecoder();
  if (code !== 0) throw new RpcError(Code.INTERNAL, `${argv.join(" ")}: ${said.decode(stderr).trim()}`);
  return said.decode(stdout).trim();
}

export const sicknessFile = (state: string, id: string) => join(state, "volumes", `${id}.sick`);

const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);

export async function isMounted(path: string): Promise<boolean> {
  const table = parseMountInfo(await Deno.readTextFile("/proc/self/mountinfo"));
  return table.some((m) => m.path === path);
}

export function createDisks(state: string) {
  const recordFile = (id: string) => join(state, "volumes", `${id}.json`);
  const image = (id: string) => join(state, "volumes", `${id}.img`);
  const directory = (id: string) => join(state, "volumes", id);

  const loopOf = async (id: string): Promise<string | undefined> =>
    (await run("losetup", "-j", image(id), "-O", "NAME", "-n")).split("\n")[0] || undefined;

  const attachLoop = async (id: string): Promise<string> =>
    await loopOf(id) ?? await run("losetup", "--show", "-f", image(id));

  async function load(id: string): Promise<VolumeRecord | undefined> {
    if (!/^[a-z0-9-]+$/.test(id) || !await exists(recordFile(id))) return undefined;
    return JSON.parse(await Deno.readTextFile(recordFile(id))) as VolumeRecord;
  }

  const save = async (v: VolumeRecord) => {
    await Deno.mkdir(dirname(recordFile(v.id)), { recursive: true });
    await Deno.writeTextFile(`${recordFile(v.id)}.new`, JSON.stringify(v));
    await Deno.rename(`${recordFile(v.id)}.new`, recordFile(v.id));
  };

  async function unmountAll(path: string): Promise<void> {
    while (await isMounted(path)) await run("umount", path);
  }

  async function bind(source: string, target: string, readonly: boolean): Promise<void> {
    if (!await isMounted(target)) await run("mount", "--bind", source, target);
    if (readonly) await run("mount", "-o", "remount,bind,ro", target);
  }

  const size = async (id: string) => (await Deno.stat(image(id))).size;

  return {
    load,
    save,
    /** The record last: what a crash cuts off is made again. */
    async create(v: VolumeRecord): Promise<void> {
      if (v.kind === "directory") await Deno.mkdir(directory(v.id), { recursive: true });
      else {
        await Deno.writeFile(image(v.id), new Uint8Array(0), { append: true });
        await Deno.truncate(image(v.id), v.bytes);
      }
      await save(v);
    },
    async remove(id: string): Promise<void> {
      if (await exists(image(id))) {
        if (await loopOf(id) !== undefined) throw new RpcError(Code.FAILED_PRECONDITION, `${id} is in use`);
        await Deno.remove(image(id));
      }
      if (await exists(directory(id))) await Deno.remove(directory(id), { recursive: true });
      if (await exists(recordFile(id))) await Deno.remove(recordFile(id));
    },
    /** Mounts a volume at its staging path; a block device is only attached. */
    async stage(v: VolumeRecord, path: string, mount: { fsType: string; flags: string[] } | undefined) {
      if (v.kind === "directory") {
        if (!await isMounted(path)) await run("mount", "--bind", directory(v.id), path);
        return;
      }
      const loop = await attachLoop(v.id);
      if (mount === undefined || await isMounted(path)) return;
      const blank = await run("blkid", "-p", "-o", "value", "-s", "TYPE", loop).catch(() => "") === "";
      if (blank) await run(`mkfs.${mount.fsType || "ext4"}`, "-q", loop);
      const flags = mount.flags.length === 0 ? [] : ["-o", mount.flags.join(",")];
      await run("mount", "-t", mount.fsType || "ext4", ...flags, loop, path);
    },
    async unstage(id: string, path: string): Promise<void> {
      await unmountAll(path);
      const loop = await exists(image(id)) ? await loopOf(id) : undefined;
      if (loop !== undefined) await run("losetup", "-d", loop);
    },
    async publish(staged: string, target: string, readonly: boolean): Promise<void> {
      await Deno.mkdir(target, { recursive: true });
      await bind(staged, target, readonly);
    },
    async publishDevice(id: string, target: string): Promise<void> {
      if (!await exists(target)) await Deno.writeFile(target, new Uint8Array(0));
      if (!await isMounted(target)) await run("mount", "--bind", await attachLoop(id), target);
    },
    /** A tmpfs of its own that goes with its pod; in it is what the driver was told of the pod, and its secrets. */
    async publishMemory(
      target: string,
      context: Record<string, string>,
      secrets: Record<string, string>,
      readonly: boolean,
    ): Promise<void> {
      await Deno.mkdir(target, { recursive: true });
      const options = `size=${context["size"] ?? "1m"},mode=0755`;
      if (!await isMounted(target)) await run("mount", "-t", "tmpfs", "-o", options, "test-csi", target);
      if (readonly) return;
      const files = { ...secrets, "context.json": JSON.stringify(context) };
      for (const [name, text] of Object.entries({ ...files, content: context["content"] })) {
        if (text !== undefined) await Deno.writeTextFile(join(target, name.replaceAll("/", "_")), text);
      }
    },
    async unpublish(target: string): Promise<void> {
      await unmountAll(target);
      if (await exists(target)) await Deno.remove(target);
    },
    async grow(id: string, bytes: number): Promise<void> {
      if (await exists(image(id)) && await size(id) < bytes) await Deno.truncate(image(id), bytes);
    },
    async growOnNode(id: string, path: string): Promise<void> {
      const loop = await attachLoop(id);
      await run("losetup", "-c", loop);
      if (await isMounted(path) && (await Deno.stat(path)).isDirectory) await run("resize2fs", loop);
    },
    stats(path: string) {
      const s = statfsSync(path);
      const bytes = (blocks: number) => BigInt(blocks) * BigInt(s.bsize);
      return {
        bytes: { total: bytes(s.blocks), used: bytes(s.blocks - s.bfree), available: bytes(s.bavail) },
        inodes: {
          total: BigInt(s.files),
          used: BigInt(s.files - s.ffree),
          available: BigInt(s.ffree),
        },
      };
    },
    size,
    /** What is wrong with a volume, as the test says in a file. */
    sickness: (id: string): Promise<string | undefined> =>
      Deno.readTextFile(sicknessFile(state, id)).catch(() => undefined),
  };
}

export type Disks = ReturnType<typeof createDisks>;
