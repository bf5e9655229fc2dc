/**
 * The agent as a node of a cluster: told by an API server, here the double of one in this process, and seen as that has it.
 * Not for: what is common to all (agent.ts).
 */
import type { Pod } from "../../../agent/model/gen/v1.ts";
import { startClusterOfOne } from "../../e2e/cluster.ts";
import { kinds } from "../../fakes/cluster/world.ts";
import { runningContainers } from "./agent.ts";
import { openCri } from "./cri.ts";
import type { Peer } from "./peer.ts";

export async function createJoinedPeer(): Promise<Peer> {
  const one = await startClusterOfOne({ verbosity: 0 }); // debug messages cost what users do not pay
  const { cluster, user, node } = one;
  const { agent } = node;
  const cri = openCri(agent.runtimeSocket());
  const known = () => cluster.world.store.list(kinds.pod, "default") as unknown as Pod[];
  return {
    name: "joined",
    restarts: true,
    resident: { pid: agent.pid, stop: agent.stop, start: node.start },
    async add(pods) {
      await Promise.all(pods.map((pod) => node.run(pod.spec)));
    },
    async remove(pods) {
      await Promise.all(pods.map((pod) => user.remove("Pod", pod.name)));
    },
    async whenRunning({ name }) {
      await user.untilPod(name, "running", (pod) => runningContainers([pod]).has(name), 60_000);
    },
    running: () => Promise.resolve(runningContainers(known())),
    async knows(pods) {
      const names = new Set([...known().map((p) => p.metadata?.name), ...await cri.podNames()]);
      return pods.some((pod) => names.has(pod.name));
    },
    containers: (pod) => cri.containers(pod.name),
    kill: (pod) => cri.kill(pod.name),
    requests: () =>
      cluster.requests.filter((r) => r.user.startsWith("system:node:"))
        .map(({ verb, resource }) => `${verb} ${resource}`),
    async [Symbol.asyncDispose]() {
      cri.close();
      await one[Symbol.asyncDispose]();
    },
  };
}
