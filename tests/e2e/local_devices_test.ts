/**
 * Devices without a device plugin on a real containerd that knows no CDI: a CDI spec and device nodes of the host,
 * shared, plugged in and out, in containers that are neither privileged nor root.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { until } from "./containerd.ts";
import { identityOf, podOf, shell, statusOf, stay, waitingReason } from "./pods.ts";

interface Bench {
  agent: AgentUnderTest;
  /** Nodes of the test's own, specs in `cdi`. */
  directory: string;
}

async function mknod(path: string, minor: number): Promise<void> {
  const { success } = await new Deno.Command("mknod", { args: ["-m", "660", path, "c", "1", `${minor}`] })
    .output();
  assert(success, `mknod ${path}`);
  await Deno.chown(path, 0, 20);
}

/** /dev/null, /dev/zero and /dev/full; two nodes of one number would be one device. */
const [nullMinor, zeroMinor, fullMinor] = [3, 5, 7];

const spec = (directory: string) => ({
  cdiVersion: "0.7.0",
  kind: "vendor.test/gadget",
  containerEdits: { env: ["GREETING=hello from the spec"] },
  devices: [{
    name: "first",
    containerEdits: {
      deviceNodes: [{ path: "/dev/gadget", hostPath: `${directory}/full`, permissions: "rw" }],
      mounts: [{ hostPath: `${directory}/vendor`, containerPath: "/opt/vendor", options: ["ro", "bind"] }],
      additionalGids: [4242],
    },
  }],
});

const asking = (name: string, resource: string, script: string): Pod =>
  podOf(name, [
    shell("main", script, {
      resources: { limits: { [resource]: "1" } },
      securityContext: { runAsUser: 1000, runAsGroup: 1000 },
    }),
  ]);

/** /dev/full: reads zeros, and every write fails for want of space. */
const useGadget =
  'echo "$GREETING; $(cat /opt/vendor/file); groups $(id -G)"; head -c 3 /dev/gadget | od -An -tx1; ' +
  "touch /opt/vendor/new; echo x >/dev/gadget; cat /dev/mem; echo done; " + stay;

async function checkCdi({ agent, directory }: Bench): Promise<void> {
  await agent.write("gadget.yaml", asking("gadget", "vendor.test/gadget", useGadget));
  await agent.untilPod(
    "gadget",
    "waits for its device",
    (p) => p.status?.phase === "Pending" && waitingReason(p, "main") === "WaitingForDevices",
  );
  await Deno.writeTextFile(`${directory}/cdi/vendor.json`, JSON.stringify(spec(directory)));
  const said = await agent.untilLog("gadget", "main", /done/);
  // The node's group only where the agent makes the changes: runtimes that know CDI give the node to the user.
  assertMatch(said, /hello from the spec; from the host; groups 1000 (20 )?4242\n/);
  assertStringIncludes(said, "00 00 00");
  assertStringIncludes(said, "/opt/vendor/new: Read-only file system");
  assertStringIncludes(said, "No space left on device");
  assertStringIncludes(said, "can't open '/dev/mem'");
  const broken = { ...spec(directory), kind: "vendor.test/other", devices: [] };
  await Deno.writeTextFile(`${directory}/cdi/broken.json`, JSON.stringify(broken));
  await until(
    "the broken spec is told",
    async () =>
      (await agent.problems()).some((p) =>
        p.file === `${directory}/cdi/broken.json` && p.field === "devices" && p.line === 1
      ),
  );
  await Deno.remove(`${directory}/cdi/broken.json`);
}

const usePort = (directory: string) =>
  `for port in ${directory}/port*; do echo "has $port"; echo x >$port && echo "wrote $port"; done; ${stay}`;

const health = (pod: Pod) =>
  statusOf(pod, "main").allocatedResourcesStatus?.flatMap((s) => (s.resources ?? []).map((r) => r.health)) ??
    [];

async function checkHostDevices({ agent, directory }: Bench): Promise<void> {
  await mknod(`${directory}/port0`, nullMinor);
  const port = (name: string) => asking(name, "test.local/port", usePort(directory));
  await agent.write("one.yaml", port("one"));
  await agent.write("two.yaml", port("two"));
  for (const name of ["one", "two"]) {
    const said = await agent.untilLog(name, "main", /wrote/);
    assertEquals(said.trim().split("\n"), [`has ${directory}/port0`, `wrote ${directory}/port0`]);
  }
  await agent.write("three.yaml", port("three"));
  await agent.untilPod("three", "finds no room", (p) => p.status?.reason === "OutOftest.local/port");
  const { stdout } = await agent.cli("get", "devices", `${directory}/port0`, "--no-headers");
  const by = "default/one/main, default/two/main";
  assertEquals(stdout.trim().split(/ {2,}/), ["test.local/port", `${directory}/port0`, "Healthy", "2/2", by]);
  await mknod(`${directory}/port1`, zeroMinor);
  assertStringIncludes(await agent.untilLog("three", "main", /wrote/), `wrote ${directory}/port1`);
  const before = await agent.untilPod("three", "has a healthy device", (p) => health(p).join() === "Healthy");
  await Deno.remove(`${directory}/port1`);
  await agent.untilPod("three", "is told that it is gone", (p) => health(p).join() === "Unhealthy");
  await agent.kill();
  await mknod(`${directory}/port1`, zeroMinor);
  await agent.start();
  const after = await agent.untilPod("three", "has its device again", (p) => health(p).join() === "Healthy");
  assertEquals(identityOf(after), identityOf(before), "a new agent restarts nothing");
}

Deno.test("devices of CDI specs and of the host reach containers that ask for them", async () => {
  const directory = await Deno.makeTempDir({ prefix: "agent-e2e-devices-", dir: "/run" });
  try {
    for (const name of ["cdi", "vendor"]) await Deno.mkdir(`${directory}/${name}`);
    await Deno.writeTextFile(`${directory}/vendor/file`, "from the host");
    await mknod(`${directory}/full`, fullMinor);
    await using agent = await createAgent({
      config: `
apiVersion: agent/v1alpha1
kind: AgentConfiguration
cdi: { specDirs: [${directory}/cdi] }
devices:
- { resource: test.local/port, paths: ["${directory}/port*"], share: 2 }
`,
    });
    await agent.start();
    await checkCdi({ agent, directory });
    await checkHostDevices({ agent, directory });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
