/**
 * What is wrong with the world, given what is wanted: one line for each difference. Pure. Not for: reading the world
 * (world.ts).
 */
import type { Pod } from "../../agent/model/gen/v1.ts";
import {
  type ChaosContainer,
  type ChaosPod,
  exitsOf,
  hasDevice,
  hasDisk,
  joinsNetwork,
  noteText,
  restingPhase,
  startKey,
  usesHostNetwork,
} from "./pods.ts";
import { type DeviceUser, driverFacts, type Given } from "./plugin_traces.ts";
import type { Wanted } from "./script.ts";
import type { Lists, World, WorldContainer, WorldSandbox } from "./world.ts";

/**
 * A kill this long, in ms, before or after a program began, and its start may have been cut off: the runtime, which
 * learns that its client is gone, ends what it has just begun, and the next agent starts it again.
 */
const cutOff = { before: 200, after: 250 };

/** A wanted pod with what the runtime has of it. */
interface Place {
  pod: ChaosPod;
  uid: string;
  ready: WorldSandbox[];
  containers: WorldContainer[];
}

export function complaints(
  wanted: Wanted,
  shown: readonly Pod[],
  world: World,
  kills: readonly number[],
): string[] {
  const names = shown.map((p) => p.metadata?.name ?? "");
  const set = differences("pods shown", names, wanted.pods.map((p) => p.name));
  if (set.length > 0) return set;
  const places = wanted.pods.map((pod): Place => {
    const uid = shown.find((p) => p.metadata?.name === pod.name)!.metadata!.uid!;
    return {
      pod,
      uid,
      ready: world.sandboxes.filter((s) => s.uid === uid && s.ready),
      containers: world.containers.filter((c) => c.uid === uid),
    };
  });
  return [
    ...places.flatMap((place) => [
      ...statusComplaints(place.pod, shown.find((p) => p.metadata?.uid === place.uid)!),
      ...podComplaints(place, world),
    ]),
    ...startComplaints(wanted, world, kills),
    ...runtimeComplaints(places, world),
    ...networkComplaints(places, world),
    ...diskComplaints(places, world),
    ...volumeComplaints(places, world),
    ...differences(
      "containers with devices on record",
      world.given.map((g) => `${g.uid}/${g.container}`),
      places.filter((p) => hasDevice(p.pod)).flatMap((p) =>
        p.pod.containers.map((c) => `${p.uid}/${c.name}`)
      ),
    ),
  ];
}

/** What must never be, not even for a moment: two of the same at once. */
export function doubles({ sandboxes, containers }: Lists): string[] {
  return [
    ...repeated(sandboxes.filter((s) => s.ready).map((s) => s.uid)).map((uid) =>
      `two ready sandboxes of pod ${uid}: ${JSON.stringify(sandboxes.filter((s) => s.uid === uid))}`
    ),
    ...repeated(containers.filter((c) => c.state === "running").map((c) => `${c.uid}/${c.name}`)).map((
      name,
    ) => `container ${name} runs twice`),
  ];
}

/** A device that two living containers have, or the record gives to two. */
export function sharedDevices(users: readonly DeviceUser[], given: readonly Given[]): string[] {
  const ids = [...repeated(users.flatMap((u) => u.ids)), ...repeated(given.flatMap((g) => g.ids))];
  return ids.map((id) => {
    const whose = [...users, ...given].filter((x) => x.ids.includes(id));
    return `device ${id} is given to more than one: ${JSON.stringify(whose)}`;
  });
}

const repeated = (list: readonly string[]) => [...new Set(list.filter((x, i) => list.indexOf(x) !== i))];

function differences(what: string, found: readonly string[], wanted: readonly string[]): string[] {
  return [
    ...repeated(found).map((x) => `${what}: ${x} is there twice`),
    ...wanted.filter((x) => !found.includes(x)).map((x) => `${what}: ${x} is missing`),
    ...found.filter((x) => !wanted.includes(x)).map((x) => `${what}: ${x} is an orphan`),
  ];
}

function statusComplaints(pod: ChaosPod, { status }: Pod): string[] {
  const phase = restingPhase(pod);
  const ready = status?.conditions?.find((c) => c.type === "Ready")?.status === "True";
  const found: string[] = [];
  if (status?.phase !== phase) found.push(`${pod.name}: phase ${status?.phase}, not ${phase}`);
  if (ready !== (phase === "Running")) found.push(`${pod.name}: Ready is ${ready}`);
  return found;
}

function podComplaints(place: Place, world: World): string[] {
  const { pod, ready, containers } = place;
  const runs = restingPhase(pod) === "Running";
  const found: string[] = [];
  if (ready.length !== (runs ? 1 : 0)) found.push(`${pod.name}: ${ready.length} ready sandboxes`);
  for (const c of pod.containers) {
    const own = containers.filter((x) => x.name === c.name);
    const running = own.filter((x) => x.state === "running");
    const here = `${pod.name}/${c.name}`;
    const due = exitsOf(pod, c.name) === undefined ? 1 : 0;
    if (running.length !== due) found.push(`${here}: ${running.length} running containers`);
    else if (due === 1) found.push(...insideComplaints(here, place, c, world, running[0]!.id));
    if (own.length > 2) found.push(`${here}: ${own.length} records are kept`);
    if (!world.starts.some((s) => s.key === startKey(pod, c))) {
      found.push(`${here}: never started as ${startKey(pod, c)}`);
    }
  }
  const known = new Set(pod.containers.map((c) => c.name));
  for (const c of containers.filter((c) => !known.has(c.name))) {
    found.push(`${pod.name}/${c.name}: not in the manifest`);
  }
  return found;
}

function insideComplaints(
  here: string,
  { pod, uid }: Place,
  c: ChaosContainer,
  world: World,
  id: string,
): string[] {
  const inside = world.inside.get(id);
  if (inside === undefined) return [`${here}: runs without a task`];
  const page = pod.shape === "config" ? `${pod.page}` : undefined;
  const word = pod.shape === "config" ? `s${pod.page}` : undefined;
  const given = world.given.filter((g) => g.uid === uid && g.container === c.name);
  const expected: [string, unknown, unknown][] = [
    ["env", inside.env.get("VERSION"), `${c.env}`],
    ["image", inside.env.get("IMAGE"), `${c.image}`],
    ["memory limit", inside.memoryLimit, c.memory * 2 ** 20],
    ["ConfigMap", inside.page, page],
    ["Secret", inside.word, word],
    ["inline volume", inside.note, hasDisk(pod) ? noteText : undefined],
    ["device", inside.env.get("DEVICES"), hasDevice(pod) ? given.flatMap((g) => g.ids).join() : undefined],
  ];
  return [
    ...expected.filter(([, is, should]) => is !== should).map(([what, is, should]) =>
      `${here}: ${what} is ${is}, not ${should}`
    ),
    ...(hasDisk(pod) ? claimComplaints(here, pod, inside.disk, world) : []),
  ];
}

/** What containers wrote since the pod has its claim is there, and nothing of another pod. */
function claimComplaints(here: string, pod: ChaosPod, disk: readonly string[], { starts }: World): string[] {
  const written = starts.map((s) => s.key).filter((key) => {
    const [name, , command] = key.split("_");
    return name === pod.name && Number(command) > pod.claim;
  });
  return [
    ...written.filter((key) => !disk.includes(key)).map((key) => `${here}: ${key} is lost from its claim`),
    ...disk.filter((name) => name !== "lost+found" && !name.startsWith(`${pod.name}_`)).map((name) =>
      `${here}: ${name} is in its claim`
    ),
  ];
}

function startComplaints(wanted: Wanted, world: World, kills: readonly number[]): string[] {
  const isCutOff = (at: number) => kills.some((k) => k >= at - cutOff.before && k <= at + cutOff.after);
  return [...new Set(world.starts.map((s) => s.key))].flatMap((key) => {
    const times = world.starts.filter((s) => s.key === key).map((s) => s.at).sort();
    const due = wanted.starts.get(key) ?? 0;
    const again = times.filter(isCutOff).length;
    return times.length <= due + again
      ? []
      : [`${key}: started ${times.length} times, ${due} due, ${again} near a kill: ${times.join(" ")}`];
  });
}

function runtimeComplaints(places: readonly Place[], world: World): string[] {
  const uids = new Set(places.map((p) => p.uid));
  const living = [
    ...world.sandboxes.filter((s) => s.ready),
    ...world.containers.filter((c) => c.state === "running"),
  ].map((x) => x.id);
  const ready = world.sandboxes.filter((s) => s.ready).map((s) => s.id);
  const all = [...world.sandboxes, ...world.containers];
  return [
    ...all.filter((x) => !uids.has(x.uid)).map((x) => `runtime: ${x.id} of pod ${x.uid} is an orphan`),
    ...differences("containers of containerd", world.records, all.map((x) => x.id)),
    ...differences("tasks", world.tasks, living),
    ...differences("shims", world.shims, ready),
    ...differences("mounts of the runtime", world.runtimeMounts, [
      ...ready.map((id) => `io.containerd.grpc.v1.cri/sandboxes/${id}/shm`),
      ...living.map((id) => `io.containerd.runtime.v2.task/k8s.io/${id}/rootfs`),
    ]),
    ...differences("cgroups", world.cgroups, [
      ...places.map((p) => `burstable/pod${p.uid}`),
      ...all.filter((x) => living.includes(x.id)).map((x) => `burstable/pod${x.uid}/${x.id}`),
    ]),
  ];
}

function networkComplaints(places: readonly Place[], world: World): string[] {
  const connected = places.filter((p) => !usesHostNetwork(p.pod)).flatMap((p) => p.ready.map((s) => s.id));
  const namespaces = world.networkNamespaces.length;
  const further = places.filter((p) => joinsNetwork(p.pod)).flatMap((p) => p.ready.map((s) => s.id));
  return [
    ...(namespaces === connected.length
      ? []
      : [`network namespaces: ${namespaces} for ${connected.length} sandboxes`]),
    ...differences("addresses", world.addresses, connected),
    ...differences("results of network plugins", world.networkResults, connected),
    ...differences("addresses of the further network", world.furtherAddresses, further),
    ...differences("records of the further network", world.furtherRecords, further),
    ...differences("rules of the packet filter", world.natRules, connected),
  ];
}

function diskComplaints(places: readonly Place[], world: World): string[] {
  const mountsOf = ({ pod, uid }: Place): string[] => {
    if (pod.shape === "config") {
      return [`${uid}/volumes/kubernetes.io~secret/key`, `${uid}/volumes/kubernetes.io~empty-dir/shared`];
    }
    const [note, claim] = ["note", "pvc"].map((name) => `${uid}/volumes/kubernetes.io~csi/${name}/mount`);
    return hasDisk(pod) ? [note!, claim!] : [];
  };
  return [
    ...differences("pod directories", world.podDirectories, places.map((p) => p.uid)),
    ...differences("mounts of pods", world.podMounts, places.flatMap(mountsOf)),
    ...differences(
      "log directories",
      world.logDirectories,
      places.map((p) => `default_${p.pod.name}_${p.uid}`),
    ),
    ...linkComplaints(world),
  ];
}

/** A volume of the driver for each claim, each on the node exactly once. */
function volumeComplaints(places: readonly Place[], world: World): string[] {
  const due = places.filter((p) => hasDisk(p.pod)).length;
  const { volumes, ...onNode } = world.driver;
  return [
    ...(volumes.length === due ? [] : [`volumes of the driver: ${volumes.length} for ${due} claims`]),
    ...driverFacts.flatMap((fact) => differences(fact, onNode[fact], volumes)),
    ...(world.volumeRecords === due ? [] : [`records of volumes: ${world.volumeRecords} for ${due} claims`]),
  ];
}

/** What ended may have lost its link to a removal that was cut off; a link to nothing is never right. */
function linkComplaints({ logLinks, containers }: World): string[] {
  const due = containers.filter((c) => c.state === "running" || logLinks.includes(c.id));
  return differences("log links", logLinks, due.map((c) => c.id));
}
