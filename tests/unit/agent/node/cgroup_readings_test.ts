/** A pod's cgroup and those of its containers, as the kernel shows them in both versions. */
import { assertEquals } from "@std/assert";
import type { Hierarchies } from "../../../../agent/node/cgroup_files.ts";
import { countOpenFiles, ownCgroup, readPodCgroups } from "../../../../agent/node/cgroup_readings.ts";
import { createFakeHost } from "../../../fakes/host.ts";

const id = "0123456789abcdef".repeat(4);
const net = "h\nh\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n";

const nowhere = { all: [], cpu: undefined, memory: undefined, pids: undefined, hugetlb: undefined };

const files = (directory: string, contents: Record<string, string>) =>
  Object.fromEntries(Object.entries(contents).map(([name, text]) => [`${directory}/${name}`, text]));

Deno.test("cgroup v2 with systemd: slices, scopes of containers, throttling, the network of the first process", async () => {
  const unified = "/sys/fs/cgroup";
  const slice = "/kubepods.slice/kubepods-podu.slice";
  const stats = {
    "cpu.stat": "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 10\nnr_throttled 2\nthrottled_usec 5\n",
    "cpu.weight": "100\n",
    "cpu.max": "5000 100000\n",
    "memory.current": "4096\n",
    "memory.max": "max\n",
    "memory.stat": "anon 100\nfile 900\nfile_mapped 50\ninactive_file 96\n",
    "memory.swap.current": "8\n",
    "pids.current": "3\n",
  };
  const scope = `${slice}/cri-containerd-${id}.scope`;
  const host = createFakeHost({
    files: {
      ...files(unified + slice, { ...stats, "cgroup.procs": "" }),
      ...files(unified + scope, { ...stats, "cgroup.procs": "42\n43\n" }),
      "/proc/42/net/dev": net,
    },
  });
  const h: Hierarchies = { ...nowhere, cpuacct: undefined, blkio: undefined, unified };
  const read = await readPodCgroups(host, h, "u", slice);
  const container = read?.containers.get(id);
  assertEquals([read?.uid, read?.whole.path, container?.path], ["u", slice, scope]);
  assertEquals(
    [container?.cpu, container?.user, container?.system, container?.throttled, container?.throttledPeriods],
    [7000, 4000, 3000, 5000, 2],
  );
  assertEquals(
    [container?.memory, container?.workingSet, container?.rss, container?.cache, container?.swap],
    [4096, 4000, 100, 900, 8],
  );
  assertEquals([container?.pids, container?.limits?.cpuQuota, container?.limits?.memory], [
    [42, 43],
    5000,
    undefined,
  ]);
  assertEquals(read?.network.map((n) => [n.name, n.receive.bytes, n.transmit.packets]), [["eth0", 10, 2]]);
});

Deno.test("cgroup v1: each controller in its hierarchy; a container without processes has no network", async () => {
  const [cpu, memory, pids] = ["/cg/cpu", "/cg/memory", "/cg/pids"];
  const pod = "/kubepods/podu";
  const one = (path: string) => ({
    ...files(cpu + path, {
      "cpuacct.usage": "9000\n",
      "cpuacct.stat": "user 2\nsystem 1\n",
      "cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 77\n",
      "cpu.shares": "2\n",
      "cpu.cfs_quota_us": "-1\n",
      "cpu.cfs_period_us": "100000\n",
      "cgroup.procs": "",
    }),
    ...files(memory + path, {
      "memory.usage_in_bytes": "5000\n",
      "memory.limit_in_bytes": "9223372036854771712\n",
      "memory.stat":
        "total_rss 11\ntotal_cache 22\ntotal_mapped_file 3\ntotal_swap 4\ntotal_inactive_file 1000\n",
      "memory.failcnt": "6\n",
    }),
    ...files(pids + path, { "pids.current": "2\n" }),
  });
  const host = createFakeHost({ files: { ...one(pod), ...one(`${pod}/${id}`) } });
  const h: Hierarchies = {
    ...nowhere,
    cpu,
    cpuacct: cpu,
    blkio: undefined,
    memory,
    pids,
    unified: undefined,
  };
  const read = await readPodCgroups(host, h, "u", pod);
  const c = read?.containers.get(id);
  assertEquals([c?.cpu, c?.user, c?.system, c?.throttled, c?.periods], [9000, 2e7, 1e7, 77, 4]);
  assertEquals([c?.memory, c?.workingSet, c?.rss, c?.cache, c?.failures], [5000, 4000, 11, 22, 6]);
  assertEquals([c?.threads, c?.limits?.memory, read?.network], [2, undefined, []]);
  assertEquals(await readPodCgroups(host, h, "gone", "/kubepods/podgone"), undefined);
});

Deno.test("the agent's own cgroup: where CPU and memory are both of it, never the root", async () => {
  const own = (text: string) => ownCgroup(createFakeHost({ files: { "/proc/self/cgroup": text } }));
  assertEquals(await own("0::/system.slice/agent.service\n"), "/system.slice/agent.service");
  assertEquals(await own("3:memory:/a\n2:cpu,cpuacct:/a\n0::/b\n"), "/a");
  assertEquals(await own("3:memory:/a\n2:cpu,cpuacct:/b\n0::/c\n"), undefined);
  assertEquals(await own("0::/\n"), undefined);
});

Deno.test("open files are counted of the processes that are still there", async () => {
  const host = createFakeHost({ files: { "/proc/42/fd/0": "", "/proc/42/fd/1": "", "/proc/43/fd/0": "" } });
  assertEquals(await countOpenFiles(host, [42, 43, 44]), 3);
});
