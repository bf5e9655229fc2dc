import { assertEquals } from "@std/assert";
import type { ContainerStatus, Pod, PodStatus } from "../../../../agent/model/gen/v1.ts";
import { statusPatch } from "../../../../agent/model/status_patch.ts";
import { strategicMerge } from "../../../fakes/cluster/patch.ts";

const t0 = "2026-01-01T00:00:00Z";
const t1 = "2026-01-01T01:00:00Z";

const podOf = (status: PodStatus, restartPolicy = "Always"): Pod => ({
  metadata: { name: "web", namespace: "default", uid: "u1" },
  spec: {
    restartPolicy,
    initContainers: [{ name: "first" }],
    containers: [{ name: "c" }, { name: "d" }],
  },
  status,
});

const container = (name: string, state: ContainerStatus["state"], more: object = {}): ContainerStatus => ({
  name,
  image: "c:1",
  imageID: "",
  ready: false,
  restartCount: 0,
  ...(state && { state }),
  ...more,
});
const exited = (exitCode: number) => ({ terminated: { exitCode } });

/** What the API server shows after it was told. */
function told(shown: Pod, wanted: PodStatus): PodStatus {
  const patch = statusPatch(shown, wanted);
  return patch === undefined ? shown.status! : strategicMerge(shown, patch, "Pod").status as PodStatus;
}

Deno.test("the patch is bound to the pod's uid and says nothing but what differs", () => {
  const shown = podOf({ phase: "Pending", qosClass: "Burstable", hostIP: "192.0.2.1" });
  assertEquals(statusPatch(shown, { phase: "Running", qosClass: "Burstable", hostIP: "192.0.2.1" }), {
    metadata: { uid: "u1" },
    status: { phase: "Running" },
  });
  assertEquals(statusPatch(shown, { phase: "Pending", hostIP: "192.0.2.1" }), undefined);
  assertEquals(statusPatch(shown, { phase: "Unknown", reason: "RuntimeUnavailable" }), undefined);
});

Deno.test("others' conditions stay; ours change, keep the time of what did not change, and go when they are over", () => {
  const gate = { type: "example.com/up", status: "True", lastTransitionTime: t0 };
  const scheduled = {
    type: "PodScheduled",
    status: "True",
    lastTransitionTime: t0,
    lastProbeTime: null as never,
  };
  const shown = podOf({
    phase: "Running",
    conditions: [
      scheduled,
      gate,
      {
        type: "Ready",
        status: "False",
        reason: "ContainersNotReady",
        message: "why",
        lastTransitionTime: t0,
      },
      { type: "Initialized", status: "True", lastTransitionTime: t0 },
      { type: "PodResizePending", status: "True", reason: "Deferred", lastTransitionTime: t0 },
    ],
  });
  const wanted: PodStatus = {
    phase: "Running",
    conditions: [
      { type: "Ready", status: "True", lastTransitionTime: t1 },
      { type: "Initialized", status: "True", lastTransitionTime: t1 },
      { type: "PodScheduled", status: "True", lastTransitionTime: t1 },
      { type: "example.com/up", status: "False", lastTransitionTime: t1 },
    ],
  };
  const after = told(shown, wanted);
  assertEquals(after.conditions, [
    scheduled,
    gate,
    { type: "Ready", status: "True", lastTransitionTime: t1 },
    { type: "Initialized", status: "True", lastTransitionTime: t0 },
  ]);
  assertEquals(statusPatch({ ...shown, status: after }, wanted), undefined);
});

Deno.test("lists and maps that would be merged are replaced", () => {
  const shown = podOf({
    phase: "Running",
    podIP: "10.0.0.1",
    podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }],
    resources: { limits: { cpu: "1", memory: "1Gi" } },
  });
  const wanted: PodStatus = {
    phase: "Running",
    podIP: "10.0.0.2",
    podIPs: [{ ip: "10.0.0.2" }],
    resources: { limits: { cpu: "1" } },
  };
  assertEquals(told(shown, wanted), wanted);
});

Deno.test("a terminal phase stays, with its reason; what the pod had goes on being shown", () => {
  const end: PodStatus = {
    phase: "Failed",
    reason: "Evicted",
    message: "too much",
    podIP: "10.0.0.1",
    podIPs: [{ ip: "10.0.0.1" }],
    startTime: t0,
  };
  for (const phase of ["Pending", "Running", "Succeeded"]) {
    assertEquals(told(podOf(end), { phase, startTime: t1 }), end);
  }
});

Deno.test("a pod is not shown to have ended while anything of it runs", () => {
  const running = container("d", { running: {} });
  const wanted: PodStatus = { phase: "Failed", reason: "Evicted", containerStatuses: [running] };
  const shown = podOf({ phase: "Running", containerStatuses: [running] });
  assertEquals(told(shown, wanted).phase, "Running");
  assertEquals(told(shown, { ...wanted, containerStatuses: [container("d", exited(137))] }).phase, "Failed");
});

Deno.test("a container that rests by its policy never leaves its end; one that starts again does", () => {
  const cases: [string, number, boolean][] = [
    ["Always", 0, true],
    ["Always", 1, true],
    ["OnFailure", 1, true],
    ["OnFailure", 0, false],
    ["Never", 1, false],
    ["Never", 0, false],
  ];
  for (const [policy, exitCode, leaves] of cases) {
    const old = container("c", exited(exitCode));
    const now = container("c", { waiting: { reason: "ContainerCreating" } });
    const shown = podOf({ phase: "Running", containerStatuses: [old] }, policy);
    const after = told(shown, { phase: "Running", containerStatuses: [now] });
    assertEquals(after.containerStatuses, [leaves ? now : old], `${policy} ${exitCode}`);
  }
  const shown = podOf({ phase: "Running", initContainerStatuses: [container("first", exited(0))] }, "Never");
  const rerun = { phase: "Running", initContainerStatuses: [container("first", { running: {} })] };
  assertEquals(told(shown, rerun), shown.status);
});

Deno.test("what a deleted pod ended with stays, though its containers are taken away before the pod", () => {
  const last = container("c", exited(3), { containerID: "containerd://1" });
  const shown = { ...podOf({ phase: "Failed", containerStatuses: [last] }) };
  const deleted = { ...shown, metadata: { ...shown.metadata, deletionTimestamp: t0 } };
  const lost = container("c", { terminated: { exitCode: 137, reason: "ContainerStatusUnknown" } });
  assertEquals(told(deleted, { phase: "Failed", containerStatuses: [lost] }).containerStatuses, [last]);
  const waiting = container("c", { waiting: { reason: "ContainerCreating" } });
  const after = told(deleted, { phase: "Pending", containerStatuses: [waiting] });
  assertEquals([after.phase, after.containerStatuses], ["Failed", [last]]);
});

Deno.test("when the runtime has lost the newest container, the end of one before it does not take its place", () => {
  const of = (finishedAt: string, exitCode: number, restartCount: number, id: string) =>
    container("c", { terminated: { exitCode, finishedAt } }, { containerID: id, restartCount });
  const shown = podOf({ phase: "Running", containerStatuses: [of(t1, 143, 1, "c://new")] });
  const statuses = (wanted: ContainerStatus) =>
    told(shown, { containerStatuses: [wanted] }).containerStatuses;
  assertEquals(statuses(of(t0, 0, 0, "c://old")), shown.status!.containerStatuses);
  const later = of("2026-01-01T02:00:00Z", 0, 0, "c://after-reboot");
  assertEquals(statuses(later), [later]);
});

Deno.test("a container that was restarted with all others is shown as it is, though its own policy is Never", () => {
  const ended = container("c", exited(137), { containerID: "containerd://1" });
  const again = container("c", { running: {} }, { containerID: "containerd://2", restartCount: 1 });
  const shown = podOf({ phase: "Running", containerStatuses: [ended] }, "Never");
  assertEquals(told(shown, { phase: "Running", containerStatuses: [again] }).containerStatuses, [again]);
});
