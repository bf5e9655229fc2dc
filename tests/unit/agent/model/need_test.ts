import { assertEquals } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { containerHash } from "../../../../agent/model/hash.ts";
import { type Need, needOf } from "../../../../agent/model/need.ts";
import {
  emptyObservation,
  type ObservedContainer,
  type ObservedSandbox,
} from "../../../../agent/model/observed.ts";
import { emptyMemory, type Facts } from "../../../../agent/model/plan.ts";
import { defaultBackOff } from "../../../../agent/model/restart.ts";

const sandbox: ObservedSandbox = {
  id: "box",
  attempt: 0,
  ready: true,
  createdAt: 1,
  ips: [],
  hash: "",
  runtimeHandler: "",
};

/** What the one container of a pod needs whose device is unhealthy. */
function needWhileIll(restartPolicy: string, now: number, seen: Partial<ObservedContainer>): Need {
  const container = { name: "main", image: "a", resources: {} };
  const pod: Pod = { spec: { restartPolicy, containers: [container] } };
  const observed: ObservedContainer = {
    ...{ id: "c0", name: "main", sandboxId: "box", attempt: 0, state: "running", createdAt: 1, startedAt: 1 },
    ...{ image: "a", imageRef: "", backOff: 0, graceSeconds: 1, resources: {}, logPath: "" },
    hash: containerHash(pod, container),
    ...seen,
  };
  const o = { ...emptyObservation("u", "default", "p"), sandboxes: [sandbox], containers: [observed] };
  const facts: Facts = {
    now,
    steady: now,
    backOff: defaultBackOff,
    memory: emptyMemory,
    probes: new Map(),
    ailing: new Set(["main"]),
  };
  return needOf(pod, container, false, sandbox, o, facts);
}

Deno.test("a container that is replaced for its devices again and again starts after a growing back-off", () => {
  assertEquals(needWhileIll("Always", 2_000, {}).kind, "replace");
  const starts: [at: number, backOff: number][] = [];
  for (let attempt = 0, backOff = 0; attempt < 4; attempt++) {
    const need = needWhileIll("Always", 2_000, {
      ...{ attempt, backOff, state: "exited", exitCode: 143, finishedAt: 2_000 },
    });
    if (need.kind !== "start") throw new Error(`it needs ${need.kind}`);
    starts.push([need.at - 2_000, need.backOff]);
    backOff = need.backOff;
  }
  assertEquals(starts, [[0, 10_000], [10_000, 20_000], [20_000, 40_000], [40_000, 80_000]]);
});

Deno.test("a container that never restarts keeps its unhealthy device: to stop it would end its pod", () => {
  assertEquals(needWhileIll("Never", 2_000, {}).kind, "nothing");
  assertEquals(needWhileIll("OnFailure", 2_000, {}).kind, "replace");
});
