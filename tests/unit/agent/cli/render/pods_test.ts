import { assertEquals } from "@std/assert";
import {
  podHead,
  podRow,
  podStatusText,
  readyText,
  restartsText,
} from "../../../../../agent/cli/render/pods.ts";
import { createPaint, formatTable } from "../../../../../agent/cli/render/text.ts";
import type { ContainerState, ContainerStatus, Pod } from "../../../../../agent/model/gen/v1.ts";
import { at, now, runningPod } from "../lab.ts";

function container(
  name: string,
  state: ContainerState,
  more: Partial<ContainerStatus> = {},
): ContainerStatus {
  return {
    name,
    image: "",
    imageID: "",
    ready: state.running !== undefined,
    restartCount: 0,
    state,
    ...more,
  };
}

interface Sketch {
  phase?: string;
  reason?: string;
  /** Types of the conditions that are True. */
  conditions?: string[];
  inits?: ContainerStatus[];
  /** Names of init containers that are sidecars. */
  sidecars?: string[];
  containers?: ContainerStatus[];
  deleted?: boolean;
}

function sketch({ phase = "Running", reason, conditions = ["Initialized"], ...s }: Sketch): Pod {
  return {
    metadata: { name: "p", ...s.deleted ? { deletionTimestamp: at(1) } : {} },
    spec: {
      initContainers: (s.inits ?? []).map(({ name }) => ({
        name,
        ...s.sidecars?.includes(name) ? { restartPolicy: "Always" } : {},
      })),
      containers: (s.containers ?? []).map(({ name }) => ({ name })),
    },
    status: {
      phase,
      ...reason === undefined ? {} : { reason },
      conditions: conditions.map((type) => ({ type, status: "True" })),
      initContainerStatuses: s.inits ?? [],
      containerStatuses: s.containers ?? [],
    },
  };
}

const running = { running: {} };
const waiting = (reason?: string) => ({ waiting: reason === undefined ? {} : { reason } });
const exited = (exitCode: number, reason?: string, signal?: number) => ({
  terminated: {
    exitCode,
    ...reason === undefined ? {} : { reason },
    ...signal === undefined ? {} : { signal },
  },
});

Deno.test("STATUS is what kubectl prints", () => {
  const cases: [string, Sketch][] = [
    ["Running", { containers: [container("a", running)] }],
    ["Pending", { phase: "Pending", containers: [] }],
    ["ContainerCreating", { phase: "Pending", containers: [container("a", waiting("ContainerCreating"))] }],
    ["ErrImagePull", { phase: "Pending", containers: [container("a", waiting("ErrImagePull"))] }],
    ["CrashLoopBackOff", {
      containers: [container("a", waiting("CrashLoopBackOff")), container("b", running)],
    }],
    // the first container's reason wins over later ones
    ["Error", { containers: [container("a", exited(1, "Error")), container("b", waiting("ErrImagePull"))] }],
    ["Completed", { phase: "Succeeded", containers: [container("a", exited(0, "Completed"))] }],
    ["NotReady", { containers: [container("a", exited(0, "Completed")), container("b", running)] }],
    ["Running", {
      conditions: ["Initialized", "Ready"],
      containers: [container("a", exited(0, "Completed")), container("b", running)],
    }],
    ["OOMKilled", { phase: "Failed", containers: [container("a", exited(137, "OOMKilled"))] }],
    ["ExitCode:3", { phase: "Failed", containers: [container("a", exited(3))] }],
    ["Signal:9", { phase: "Failed", containers: [container("a", exited(137, undefined, 9))] }],
    ["Evicted", { phase: "Failed", reason: "Evicted" }],
    ["Init:0/2", {
      phase: "Pending",
      conditions: [],
      inits: [container("i", running), container("j", waiting())],
    }],
    ["Init:1/2", {
      phase: "Pending",
      conditions: [],
      inits: [container("i", exited(0, "Completed")), container("j", waiting("PodInitializing"))],
      containers: [container("a", waiting("PodInitializing"))],
    }],
    ["Init:Error", { phase: "Pending", conditions: [], inits: [container("i", exited(1, "Error"))] }],
    ["Init:ExitCode:2", { phase: "Pending", conditions: [], inits: [container("i", exited(2))] }],
    ["Init:Signal:15", {
      phase: "Pending",
      conditions: [],
      inits: [container("i", exited(143, undefined, 15))],
    }],
    ["Init:CrashLoopBackOff", {
      phase: "Pending",
      conditions: [],
      inits: [container("i", waiting("CrashLoopBackOff"))],
    }],
    ["PodInitializing", {
      phase: "Pending",
      inits: [container("i", exited(0, "Completed"))],
      containers: [container("a", waiting("PodInitializing"))],
    }],
    ["Running", {
      inits: [container("s", running, { started: true })],
      sidecars: ["s"],
      containers: [container("a", running)],
    }],
    ["Init:0/1", {
      phase: "Pending",
      conditions: [],
      inits: [container("s", running, { started: false })],
      sidecars: ["s"],
    }],
    ["Terminating", { deleted: true, containers: [container("a", running)] }],
    ["Completed", {
      deleted: true,
      phase: "Succeeded",
      containers: [container("a", exited(0, "Completed"))],
    }],
    ["Unknown", { deleted: true, reason: "NodeLost" }],
  ];
  assertEquals(cases.map(([, pod]) => podStatusText(sketch(pod))), cases.map(([text]) => text));
});

Deno.test("READY counts sidecars; RESTARTS tell when the last one was", () => {
  const pod = sketch({
    inits: [
      container("s", running, { started: true, restartCount: 1 }),
      container("i", exited(0), { restartCount: 5 }),
    ],
    sidecars: ["s"],
    containers: [
      container("a", running, {
        restartCount: 2,
        lastState: { terminated: { exitCode: 1, finishedAt: at(120) } },
      }),
      container("b", waiting("CrashLoopBackOff")),
    ],
  });
  assertEquals(readyText(pod), "2/3");
  assertEquals(restartsText(pod, now), "3 (2m ago)");
  const initializing = sketch({
    conditions: [],
    inits: [container("i", waiting("CrashLoopBackOff"), { restartCount: 4 })],
  });
  assertEquals(restartsText(initializing, now), "4");
});

Deno.test("the table lines up", () => {
  const pods = [runningPod("web", { restarts: 3 }), runningPod("a-long-name", { namespace: "prod" })];
  const options = { wide: true, namespaces: true, now };
  assertEquals(
    formatTable(podHead(options), pods.map((pod) => podRow(pod, options)), createPaint(false)),
    [
      "NAMESPACE   NAME          READY   STATUS    RESTARTS     AGE   IP          NODE",
      "default     web           1/1     Running   3 (2m ago)   5m    10.88.0.7   node-1",
      "prod        a-long-name   1/1     Running   0            5m    10.88.0.7   node-1",
      "",
    ].join("\n"),
  );
});

Deno.test("a pod of which nothing is known yet is shown, too", () => {
  const row = podRow({ metadata: { name: "new" } }, { wide: true, namespaces: false, now });
  assertEquals(row.map((c) => typeof c === "string" ? c : c.text), [
    ...["new", "0/0", "Unknown", "0", "<unknown>", "<none>", "<none>"],
  ]);
});
