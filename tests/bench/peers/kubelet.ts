/** A kubelet without an API server, on static pods. Not for: a cluster (joined_kubelet.ts). */
import { join } from "@std/path";
import type { PodList } from "../../../agent/model/gen/v1.ts";
import { runningContainers } from "./agent.ts";
import { openCri } from "./cri.ts";
import { freePort, NODE, prepareKubelet } from "./kubelet_program.ts";
import type { Peer } from "./peer.ts";
import { whenTrue } from "../wait.ts";
import { startRuntime } from "./runtime.ts";

export async function createKubelet(binary: string): Promise<Peer> {
  await using stack = new AsyncDisposableStack();
  const runtime = await startRuntime();
  const readOnlyPort = freePort();
  const configuration = {
    readOnlyPort,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
  };
  const kubelet = stack.use(await prepareKubelet({ binary, runtime, configuration, flags: [] }));
  const cri = openCri(runtime.socket);
  stack.defer(() => cri.close());
  await kubelet.start();
  /** None before it listens. */
  const pods = async () => {
    const response = await fetch(`http://127.0.0.1:${readOnlyPort}/pods`).catch(() => undefined);
    return (await response?.json() as PodList | undefined)?.items ?? [];
  };
  const fileOf = (name: string): string => join(kubelet.manifests, `${name}.json`);
  // A static pod's name ends with its node's.
  const shown = (name: string): string => `${name}-${NODE}`;
  const running = async () => {
    const suffix = `-${NODE}`.length;
    return new Map([...runningContainers(await pods())].map(([name, ids]) => [name.slice(0, -suffix), ids]));
  };
  const kept = stack.move();
  return {
    name: "kubelet",
    restarts: true,
    resident: kubelet,
    async add(all) {
      for (const { name, spec } of all) {
        const temporary = join(runtime.directory, `.${name}`);
        await Deno.writeTextFile(temporary, JSON.stringify(spec));
        await Deno.rename(temporary, fileOf(name));
      }
    },
    async remove(all) {
      for (const { name } of all) await Deno.remove(fileOf(name));
    },
    // It has no watch; each question costs it work, so that asking more often would slow it down.
    whenRunning: async ({ name }) =>
      void await whenTrue("kubelet: the pod runs", async () => (await running()).has(name), 10),
    running,
    async knows(all) {
      const names = new Set((await pods()).map((p) => p.metadata?.name));
      if (all.some(({ name }) => names.has(shown(name)))) return true;
      const left = await cri.alive();
      return all.some(({ name }) => left.has(shown(name)));
    },
    containers: ({ name }) => cri.containers(shown(name)),
    processOf: ({ name }) => cri.processOf(shown(name)),
    logs: ({ name }) => kubelet.logs(`default/${shown(name)}`),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
