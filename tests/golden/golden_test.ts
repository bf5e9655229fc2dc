/**
 * Golden stories: one folder each, `pod.yaml` + `observed.json` + `facts.json` -> `plan.json` + `status.json`.
 * In observed.json the hash "$wanted" stands for the hash that the manifest asks for now. UPDATE_GOLDEN=1 writes the
 * results anew: read the difference before you commit it.
 */
import { assertEquals } from "@std/assert";
import { parseManifest } from "../../agent/model/manifest.ts";
import type { Held } from "../../agent/model/devices.ts";
import type { Pod, ResourceStatus } from "../../agent/model/gen/v1.ts";
import type { ObservedPod } from "../../agent/model/observed.ts";
import type { Wish } from "../../agent/model/wish.ts";
import { emptyMemory, type Memory, planPod, type PostStart } from "../../agent/model/plan.ts";
import { derivePodStatus } from "../../agent/model/status.ts";
import { wantedSandboxHash } from "../../agent/model/need.ts";
import type { PodEnd } from "../../agent/model/end.ts";
import { containerHash, podSpecHash } from "../../agent/model/hash.ts";
import { volumesHash } from "../../agent/model/volumes_hash.ts";
import type { Verdict } from "../../agent/model/probe.ts";
import { defaultBackOff } from "../../agent/model/restart.ts";
import { emptyObjects } from "../fuzz/simulated_pod.ts";

const here = new URL(".", import.meta.url).pathname;
const now = Date.parse("2026-01-01T00:10:00Z");

interface StoryFacts {
  /** The pod is to be removed. */
  absent?: boolean;
  volumesReady?: boolean;
  images?: [string, { attempt: number; image: string; ref: string; user: string }][];
  failures?: [string, { reason: string; message: string; count: number; at: string; retryAt: string }][];
  stoppedSandboxes?: string[];
  /** The emptyDirs have been cleared. */
  cleared?: boolean;
  /** By container id. */
  probes?: Record<string, Verdict>;
  /** The end on record; without `spec` it is one of this very pod. */
  ended?: PodEnd & { spec?: string };
  asked?: { end?: PodEnd; restart?: string[]; run?: number };
  rejected?: PodEnd;
  /** `own` by name of the container. */
  cpus?: { all: string; shared: string; own: [string, string][] };
  /** CPUs that containers were moved to, by id. */
  moved?: [string, string][];
  /** Devices that are not there; `until` as an ISO time. */
  held?: PodEnd & { containers: string[]; until?: string };
  /** Names of containers with an unhealthy device that is to be replaced. */
  ailing?: string[];
  /** Of containers by name, as their status tells them. */
  devices?: Record<string, ResourceStatus[]>;
  /** Last words by container id. */
  messages?: Record<string, string>;
  /** Of a pod that is to be removed. */
  graceSeconds?: number;
  /** By container id. */
  postStart?: [string, PostStart][];
  preStopped?: string[];
  graceUsed?: number;
}

const read = (path: string) => JSON.parse(Deno.readTextFileSync(path));

const times = ["podStart", "createdAt", "startedAt", "finishedAt", "at", "retryAt"];

/** ISO times of the files become milliseconds. */
const reviveTime = (value: Record<string, unknown>) => {
  for (const key of times) if (typeof value[key] === "string") value[key] = Date.parse(value[key]);
  return value;
};

function readObserved(path: string, pod: Pod): ObservedPod {
  const o = {
    uid: "u",
    namespace: "default",
    name: "web",
    hasDirectory: false,
    sandboxes: [],
    containers: [],
    ...read(path),
  };
  const wanted = (hash: string, value: () => string) => hash === "$wanted" ? value() : hash;
  for (const s of o.sandboxes) {
    Object.assign(reviveTime(s), { hash: wanted(s.hash, () => wantedSandboxHash(pod)) });
  }
  for (const c of o.containers) {
    const spec = [...pod.spec!.containers, ...pod.spec!.initContainers ?? []].find((x) => x.name === c.name);
    Object.assign(reviveTime(c), {
      hash: wanted(c.hash, () => spec === undefined ? "gone" : containerHash(pod, spec)),
    });
    c.resources ??= spec?.resources ?? {};
  }
  return o;
}

function readMemory(facts: StoryFacts, pod: Pod): Memory {
  return {
    ...emptyMemory,
    firstSeen: now,
    volumesHash: facts.volumesReady === true ? volumesHash(pod, emptyObjects) : undefined,
    images: new Map(facts.images ?? []),
    failures: new Map((facts.failures ?? []).map(([k, v]) => [k, reviveTime({ ...v }) as never])),
    cleared: facts.cleared ?? false,
    cpus: new Map(facts.moved ?? []),
    stoppedSandboxes: new Set(facts.stoppedSandboxes ?? []),
    postStart: new Map(facts.postStart ?? []),
    preStopped: new Set(facts.preStopped ?? []),
    graceUsed: facts.graceUsed ?? 0,
    end: facts.ended && { spec: podSpecHash(pod), ...facts.ended },
    asked: {
      ephemeral: [],
      end: facts.asked?.end,
      restart: new Set(facts.asked?.restart ?? []),
      run: facts.asked?.run ?? 0,
    },
  };
}

const readHeld = ({ containers, until, ...why }: StoryFacts["held"] & object): Held => ({
  ...why,
  containers: new Set(containers),
  ...(until !== undefined && { until: Date.parse(until) }),
});

function tell(directory: string) {
  const { pods, problems } = parseManifest("pod.yaml", Deno.readTextFileSync(`${directory}/pod.yaml`));
  assertEquals(problems.filter((p) => p.severity === "error"), []);
  const pod = pods[0]!;
  pod.metadata = { ...pod.metadata, uid: "u" };
  const facts: StoryFacts = read(`${directory}/facts.json`);
  const observed = readObserved(`${directory}/observed.json`, pod);
  const probes = new Map(Object.entries(facts.probes ?? {}));
  const memory = readMemory(facts, pod);
  const { rejected } = facts;
  const held = facts.held && readHeld(facts.held);
  const cpus = facts.cpus && { ...facts.cpus, own: new Map(facts.cpus.own) };
  const told = { rejected, held, ailing: new Set(facts.ailing), ...(cpus && { cpus }) };
  const base = { now, steady: now, backOff: defaultBackOff, memory, probes, ...told };
  const wish: Wish = facts.absent === true
    ? {
      kind: "absent",
      uid: "u",
      key: "default/web",
      pod,
      ...(facts.graceSeconds === undefined ? {} : { graceSeconds: facts.graceSeconds }),
    }
    : { kind: "present", pod: { pod, uid: "u", source: "file", origin: "pod.yaml" }, objects: emptyObjects };
  const { lookAgain, ...plan } = planPod(wish, observed, base);
  const status = derivePodStatus(pod, observed, {
    ...base,
    devices: new Map(Object.entries(facts.devices ?? {})),
    hostIPs: ["192.0.2.1"],
    runtimeName: "containerd",
    messages: new Map(Object.entries(facts.messages ?? {})),
    before: undefined,
    stopping: facts.absent === true,
  });
  return {
    plan: lookAgain === undefined ? plan : { ...plan, lookAgain: new Date(lookAgain).toISOString() },
    status,
  };
}

for (
  const entry of [...Deno.readDirSync(here)].filter((e) => e.isDirectory).sort((a, b) =>
    a.name < b.name ? -1 : 1
  )
) {
  Deno.test(`story: ${entry.name.replaceAll("-", " ")}`, () => {
    const directory = here + entry.name;
    const told = tell(directory);
    for (const part of ["plan", "status"] as const) {
      const path = `${directory}/${part}.json`;
      const text = JSON.stringify(told[part], null, 2) + "\n";
      if (Deno.env.get("UPDATE_GOLDEN") === "1") Deno.writeTextFileSync(path, text);
      assertEquals(JSON.parse(text), read(path), `${part} of ${entry.name}`);
    }
  });
}
