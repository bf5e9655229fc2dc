/**
 * Which container has which devices, as a file in the kubelet's own format, so that an upgrade from a kubelet, or back,
 * keeps assignments. Pure. Not for: where the file is, deciding assignments (devices.ts).
 *
 * Source: kubernetes pkg/kubelet/cm/devicemanager/checkpoint; the checksum is pkg/util/hash's FNV-1a over go-spew's `%#v`.
 */

/** One resource of one container. */
export interface CheckpointEntry {
  uid: string;
  container: string;
  resource: string;
  /** Ids by NUMA node; -1 is none. */
  devices: ReadonlyMap<number, readonly string[]>;
  /** A ContainerAllocateResponse of the device plugin API, encoded; `undefined`: there is none. */
  response: Uint8Array | undefined;
}

export interface DeviceCheckpoint {
  entries: readonly CheckpointEntry[];
  /** Ids of all devices by resource. */
  registered: ReadonlyMap<string, readonly string[]>;
}

const byNumber = (a: [number, unknown], b: [number, unknown]) => a[0] - b[0];
const byName = (a: [string, unknown], b: [string, unknown]) => a[0] < b[0] ? -1 : 1;

function spewEntry(e: CheckpointEntry): string {
  const nodes = [...e.devices].sort(byNumber).map(([node, ids]) => `${node}:[${ids.join(" ")}]`);
  const response = e.response === undefined ? "<nil>" : `[${e.response.join(" ")}]`;
  return `{PodUID:(string)${e.uid} ContainerName:(string)${e.container} ResourceName:(string)${e.resource} ` +
    `DeviceIDs:(checkpoint.DevicesPerNUMA)map[${nodes.join(" ")}] AllocResp:([]uint8)${response}}`;
}

/** As the kubelet sums it: over the values as Go prints them. */
export function deviceChecksum({ entries, registered }: DeviceCheckpoint): number {
  const list = entries.length === 0 ? "<nil>" : `[${entries.map(spewEntry).join(" ")}]`;
  const names = [...registered].sort(byName).map(([name, ids]) =>
    `${name}:${ids.length === 0 ? "[]" : `[${ids.join(" ")}]`}`
  );
  return fnv1a(
    `(checkpoint.checkpointData){PodDeviceEntries:([]checkpoint.PodDevicesEntry)${list} ` +
      `RegisteredDevices:(map[string][]string)map[${names.join(" ")}]}`,
  );
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** @param bootId of the kernel; "" is left out. */
export function formatCheckpoint(checkpoint: DeviceCheckpoint, bootId: string): string {
  const { entries, registered } = checkpoint;
  const list = entries.map((e) => ({
    PodUID: e.uid,
    ContainerName: e.container,
    ResourceName: e.resource,
    DeviceIDs: Object.fromEntries([...e.devices].sort(byNumber)),
    AllocResp: e.response === undefined ? null : e.response.toBase64(),
  }));
  return JSON.stringify({
    Data: {
      PodDeviceEntries: list.length === 0 ? null : list,
      RegisteredDevices: Object.fromEntries([...registered].sort(byName)),
    },
    Checksum: deviceChecksum(checkpoint),
    ...(bootId !== "" && { BootID: bootId }),
  });
}

type Json = Record<string, unknown>;

const mapping = (value: unknown, what: string): Json => {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new TypeError(`${what}: expected an object`);
};
const text = (value: unknown, what: string): string => {
  if (typeof value === "string") return value;
  throw new TypeError(`${what}: expected a string`);
};
const texts = (value: unknown, what: string): string[] => {
  if (value === null) return [];
  if (!Array.isArray(value)) throw new TypeError(`${what}: expected a list`);
  return value.map((each) => text(each, what));
};

function bytes(base64: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(base64);
  } catch {
    throw new TypeError("AllocResp: expected base64");
  }
}

function parseEntry(value: unknown): CheckpointEntry {
  const entry = mapping(value, "PodDeviceEntries");
  const devices = Object.entries(mapping(entry.DeviceIDs, "DeviceIDs")).map(([node, ids]) =>
    [Number(node), texts(ids, "DeviceIDs")] as const
  );
  if (devices.some(([node]) => !Number.isInteger(node))) {
    throw new TypeError("DeviceIDs: expected NUMA nodes");
  }
  return {
    uid: text(entry.PodUID, "PodUID"),
    container: text(entry.ContainerName, "ContainerName"),
    resource: text(entry.ResourceName, "ResourceName"),
    devices: new Map(devices),
    response: entry.AllocResp === null || entry.AllocResp === undefined
      ? undefined
      : bytes(text(entry.AllocResp, "AllocResp")),
  };
}

/** @throws {TypeError} that says what was expected, also where the checksum is another one. */
export function parseCheckpoint(content: string): DeviceCheckpoint {
  const file = mapping(parseJson(content), "the file");
  const parts = mapping(file.Data, "Data");
  const entries = parts.PodDeviceEntries ?? [];
  if (!Array.isArray(entries)) throw new TypeError("PodDeviceEntries: expected a list");
  const registered = Object.entries(mapping(parts.RegisteredDevices ?? {}, "RegisteredDevices"))
    .map(([name, ids]) => [name, texts(ids, "RegisteredDevices")] as const);
  const checkpoint = { entries: entries.map(parseEntry), registered: new Map(registered) };
  const sum = deviceChecksum(checkpoint);
  if (file.Checksum !== sum) throw new TypeError(`its checksum is ${file.Checksum}, expected ${sum}`);
  return checkpoint;
}

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    throw new TypeError("it is not JSON");
  }
}
