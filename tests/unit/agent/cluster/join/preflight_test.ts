/** What is looked at before a host joins. */
import { assert, assertEquals } from "@std/assert";
import { checkNames, type HostFacts, preflight } from "../../../../../agent/cluster/join/preflight.ts";

const good: HostFacts = {
  root: true,
  nodeName: "box",
  cgroupControllers: ["cpu", "cpuset", "memory", "pids", "io"],
  swap: 0,
  failSwapOn: true,
  takenPorts: [],
  clockSkew: -1000,
  freeDisk: 2 ** 40,
  ipForward: true,
  leftFiles: [],
};

const bad: HostFacts = {
  root: false,
  nodeName: "Box_1",
  cgroupControllers: ["cpu"],
  swap: 5 * 2 ** 20,
  failSwapOn: true,
  takenPorts: [{ port: 10250, by: "kubelet" }, { port: 10248 }],
  clockSkew: 3_600_000,
  runtimeProblem: "no runtime answers",
  freeDisk: 2 ** 20,
  ipForward: false,
  leftFiles: ["/etc/kubernetes/kubelet.conf"],
  kubelet: 7,
};

Deno.test("a host that is ready has no findings; one that is not has one of each check, with what to do", () => {
  assertEquals(preflight(good, []), { findings: [], unknown: [] });
  const { findings } = preflight(bad, []);
  assertEquals([...new Set(findings.map((f) => f.check))], checkNames);
  assertEquals(findings.filter((f) => f.check === "Port").map((f) => f.message), [
    "port 10250 is in use by kubelet",
    "port 10248 is in use",
  ]);
  for (const { message, remedy } of findings) assert(message !== "" && remedy !== "");
  assertEquals(findings.filter((f) => f.severity === "warning").map((f) => f.check), ["Disk"]);
});

Deno.test("checks are ignored by name, kubeadm's longer names too; a name of no check is told", () => {
  const errors = (ignored: string[]) =>
    preflight(bad, ignored).findings.filter((f) => f.severity === "error").map((f) => f.check);
  assertEquals(errors(["all"]), []);
  assert(!errors(["swap", "Port-10250"]).some((check) => check === "Swap" || check === "Port"));
  assert(errors(["swap"]).includes("Port"));
  assertEquals(preflight(good, ["Swop", "FileAvailable--etc-kubernetes-kubelet.conf"]).unknown, ["Swop"]);
  assertEquals(preflight({ ...good, swap: 1, failSwapOn: false }, []).findings.map((f) => f.severity), [
    "warning",
  ]);
});
