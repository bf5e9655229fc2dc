/** Our client against a real containerd of its own, where one is installed: the Go side of gRPC. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EventsDefinition } from "../../../../plugins/rpc/gen/containerd_events.ts";
import { ImageServiceDefinition, RuntimeServiceDefinition } from "../../../../plugins/rpc/gen/cri.ts";
import { type Channel, Code, createChannel, createClient, RpcError } from "../../../../plugins/rpc/mod.ts";
import { withDir } from "./echo_service.ts";

const installed = ["/usr/bin", "/usr/local/bin"].some((dir) => {
  try {
    return Deno.statSync(`${dir}/containerd`).isFile && Deno.statSync(`${dir}/ctr`).isFile;
  } catch {
    return false;
  }
});
const ignore = !installed || Deno.uid() !== 0;
const reason = ignore ? " (skipped: needs containerd, ctr and root)" : "";
const signal = new AbortController().signal;

function configuration(dir: string): string {
  return `version = 2
root = "${dir}/root"
state = "${dir}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "${dir}/s"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "${dir}/cni"
`;
}

/** Starts containerd and waits until it answers. Its output is shown when it ends instead. */
async function startContainerd(dir: string, channel: Channel): Promise<{ stop(): Promise<void> }> {
  const child = new Deno.Command("containerd", {
    args: ["-c", `${dir}/config.toml`],
    stdout: "null",
    stderr: "piped",
  })
    .spawn();
  const output = child.stderr.text();
  let ended = false;
  const status = child.status.finally(() => ended = true);
  const runtime = createClient(RuntimeServiceDefinition, channel);
  while (!await runtime.version({}, { signal, timeoutMs: 1000 }).then(() => true, () => false)) {
    if (ended) throw new Error(`containerd ended: ${await output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    async stop() {
      if (!ended) child.kill("SIGTERM");
      await status;
      await output;
    },
  };
}

async function ctr(dir: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ctr", { args: ["-a", `${dir}/s`, ...args] }).output();
  assert(success, new TextDecoder().decode(stderr));
}

Deno.test(
  { name: `containerd: calls, errors, events, restarts${reason}`, ignore },
  (t) =>
    withDir(async (dir) => {
      await Deno.writeTextFile(`${dir}/config.toml`, configuration(dir));
      const channel = createChannel(`${dir}/s`);
      const runtime = createClient(RuntimeServiceDefinition, channel);
      const images = createClient(ImageServiceDefinition, channel);
      let containerd = await startContainerd(dir, channel);
      try {
        await t.step("Version, Status and lists answer", async () => {
          const version = await runtime.version({ version: "v1" }, { signal, timeoutMs: 10_000 });
          assertEquals([version.runtimeName, version.runtimeApiVersion], ["containerd", "v1"]);
          const { status } = await runtime.status({ verbose: true }, { signal });
          assertEquals(status?.conditions.map(({ type }) => type).slice(0, 2), [
            "RuntimeReady",
            "NetworkReady",
          ]);
          assertEquals((await runtime.listPodSandbox({}, { signal })).items, []);
          assertEquals((await images.listImages({}, { signal })).images, []);
        });
        await t.step("errors come with code and text", async () => {
          const error = await assertRejects(
            () => runtime.containerStatus({ containerId: "absent" }, { signal }),
            RpcError,
          );
          assertEquals(error.code, Code.NOT_FOUND);
          assert(error.details.includes("absent"), error.details);
        });
        await t.step("many calls at once", async () => {
          const calls = Array.from({ length: 200 }, () => runtime.version({}, { signal }));
          assertEquals(
            new Set((await Promise.all(calls)).map(({ runtimeName }) => runtimeName)),
            new Set(["containerd"]),
          );
        });
        await t.step("events come, and leaving the stream ends it", async () => {
          const events = createClient(EventsDefinition, channel).subscribe({}, { signal })
            [Symbol.asyncIterator]();
          const first = events.next();
          let came = false;
          first.then(() => came = true);
          for (let count = 0; !came; count++) await ctr(dir, "namespaces", "create", `n${count}`);
          const { value } = await first;
          assertEquals(value?.topic, "/namespaces/create");
          assertEquals(value?.event?.typeUrl, "containerd.events.NamespaceCreate");
          await events.return?.();
        });
        await t.step("the same client works after restarts", async () => {
          for (let count = 0; count < 2; count++) {
            await containerd.stop();
            const error = await assertRejects(() => runtime.version({}, { signal }), RpcError);
            assertEquals(error.code, Code.UNAVAILABLE);
            containerd = await startContainerd(dir, channel);
            assertEquals((await runtime.version({}, { signal })).runtimeName, "containerd");
          }
        });
      } finally {
        channel.close();
        await containerd.stop();
      }
    }),
);
