/**
 * What device plugins answer, as input: messages to our words, or what is wrong with them; and our words as the message
 * that the kubelet keeps. Pure. Not for: calls.
 *
 * Source: k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1; kubernetes pkg/kubelet/cm/devicemanager/pod_devices.go.
 */
import type { Device } from "../../agent/model/devices.ts";
import type { ContainerEdits } from "../../agent/model/edits.ts";
import { ContainerAllocateResponse, type Device as DeviceMessage } from "../rpc/gen/device_plugin.ts";

const MAX_DEVICES = 10_000;
const MAX_ID = 256;
const MAX_NUMA_NODES = 1024;

/** Keys of annotations by which we and the kubelet know containers again: not for plugins to set. */
const reserved = ["agent/", "io.kubernetes."];

/** @throws {TypeError} that says what was expected. */
export function toDevices(messages: readonly DeviceMessage[]): Device[] {
  if (messages.length > MAX_DEVICES) {
    throw new TypeError(`expected at most ${MAX_DEVICES} devices, got ${messages.length}`);
  }
  const devices = new Map<string, Device>();
  for (const { ID: id, health, topology } of messages) {
    if (id === "" || id.length > MAX_ID) {
      throw new TypeError(`expected device ids of 1 to ${MAX_ID} characters, got ${id.length}`);
    }
    const nodes = [...new Set((topology?.nodes ?? []).map((node) => Number(node.ID)))];
    if (nodes.some((node) => node < 0 || node > MAX_NUMA_NODES)) {
      throw new TypeError(`device ${id}: expected NUMA nodes from 0 to ${MAX_NUMA_NODES}`);
    }
    devices.set(id, { id, healthy: health === "Healthy", numaNodes: nodes });
  }
  return [...devices.values()];
}

const absolute = (path: string, what: string): string => {
  if (path.startsWith("/") && !path.includes("\0")) return path;
  throw new TypeError(`${what}: expected an absolute path, got ${JSON.stringify(path)}`);
};

/** @throws {TypeError} that says what was expected. */
export function toEdits(response: ContainerAllocateResponse, owner: string): ContainerEdits {
  const { envs, mounts, devices, annotations, cdiDevices } = response;
  for (const name of Object.keys(envs)) {
    if (name === "" || /[=\0]/.test(name)) {
      throw new TypeError(`a variable has the name ${JSON.stringify(name)}`);
    }
  }
  for (const key of Object.keys(annotations)) {
    if (reserved.some((prefix) => key.startsWith(prefix))) {
      throw new TypeError(`the annotation ${key} is not its own`);
    }
  }
  for (const { permissions } of devices) {
    if (!/^[rwm]{1,3}$/.test(permissions)) {
      throw new TypeError(`permissions: expected some of rwm, got ${JSON.stringify(permissions)}`);
    }
  }
  return {
    owner,
    env: envs,
    mounts: mounts.map((m) => ({
      hostPath: absolute(m.hostPath, "host_path"),
      containerPath: absolute(m.containerPath, "container_path"),
      readonly: m.readOnly,
    })),
    devices: devices.map((d) => ({
      hostPath: absolute(d.hostPath, "host_path"),
      containerPath: absolute(d.containerPath, "container_path"),
      permissions: d.permissions,
    })),
    annotations,
    cdiDevices: cdiDevices.map(({ name }) => name),
  };
}

/** As the kubelet's checkpoint has it. */
export const responseCodec = {
  encode: (edits: ContainerEdits): Uint8Array =>
    ContainerAllocateResponse.encode(ContainerAllocateResponse.fromPartial({
      envs: edits.env ?? {},
      mounts: (edits.mounts ?? []).map((m) => ({
        hostPath: m.hostPath,
        containerPath: m.containerPath,
        readOnly: m.readonly,
      })),
      devices: edits.devices ?? [],
      annotations: edits.annotations ?? {},
      cdiDevices: (edits.cdiDevices ?? []).map((name) => ({ name })),
    })).finish(),
  decode: (response: Uint8Array): ContainerEdits =>
    toEdits(ContainerAllocateResponse.decode(response), "devices"),
};
