/** What joining finds out about a host: who has its ports, cgroups, swap, what was left there, what time it is elsewhere. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readHostFacts } from "../../../../../agent/compose/join/host_facts.ts";
import { joinPlaces } from "../../../../../agent/compose/join/joined.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import { startCluster } from "../../../../fakes/cluster/cluster.ts";
import type { FakeHost } from "../../../../fakes/host.ts";
import { never } from "../../cluster/connected.ts";
import { asking, configOf, hostOf, join } from "./joining.ts";

const tcp = (...rows: string[]) =>
  ["  sl  local_address rem_address   st tx_queue", ...rows].join("\n") + "\n";
const row = (port: number, state: string, inode: number) =>
  `   0: 00000000:${
    port.toString(16).toUpperCase().padStart(4, "0")
  } 00000000:0000 ${state} 0:0 00:0 0 0 0 ${inode} 1`;

async function factsOf(host: FakeHost, endpoint?: string) {
  const { config } = await configOf(host, { "container-runtime-endpoint": "unix:///none/containerd.sock" });
  const places = joinPlaces(config);
  return await readHostFacts(
    { config, host, log: silentLog, places, endpoint, ports: [10250, 10248] },
    never(),
  );
}

Deno.test("ports are told with who listens there; connections that are open on them are nobody's", async () => {
  const host = hostOf({
    files: {
      "/proc/net/tcp": tcp(row(10248, "01", 7)),
      "/proc/net/tcp6": tcp(row(10250, "0A", 4711)),
      "/proc/31/comm": "haproxy\n",
      "/proc/31/fd/0": "",
      "/proc/self/comm": "agent\n",
    },
  });
  await host.symlink("socket:[4711]", "/proc/31/fd/5");
  assertEquals((await factsOf(host)).takenPorts, [{ port: 10250, by: "haproxy (process 31)" }]);
});

Deno.test("swap, forwarding, a kubelet that runs and what it left", async () => {
  const host = hostOf({
    files: {
      "/proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 1024 0 -2\n",
      "/proc/sys/net/ipv4/ip_forward": "1\n",
      "/proc/9/comm": "kubelet\n",
      "/etc/kubernetes/kubelet.conf": "x",
    },
  });
  const facts = await factsOf(host);
  assertEquals(
    { swap: facts.swap, forwards: facts.ipForward, kubelet: facts.kubelet, left: facts.leftFiles },
    { swap: 1024 ** 2, forwards: true, kubelet: 9, left: ["/etc/kubernetes/kubelet.conf"] },
  );
  assertStringIncludes(facts.runtimeProblem!, "/none/containerd.sock");
});

Deno.test("the API server's clock is asked for, and the files of an own join are no remains", async () => {
  await using cluster = await startCluster();
  const host = hostOf();
  await join(host, await asking(cluster));
  const late = { ...host, now: () => Date.now() + 600_000 };
  const { clockSkew = 0, leftFiles } = await factsOf(late, new URL(cluster.url).host);
  assert(clockSkew > 590_000 && clockSkew < 610_000, String(clockSkew));
  assertEquals(leftFiles, []);
  assertEquals((await factsOf(host, "127.0.0.1:9")).clockSkew, undefined);
});
