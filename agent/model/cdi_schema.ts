/**
 * The fields of a CDI spec for the strict decoder. Source: the Container Device Interface's SPEC.md and specs-go, version
 * 1.1.0, and of intelRdt also what versions before 1.1.0 had. Not for: rules about values (cdi.ts).
 */
import type { TypeTable } from "./decode.ts";

export const cdiSchema: TypeTable = {
  Spec: {
    cdiVersion: "string!",
    kind: "string!",
    annotations: "string{}",
    devices: "Device[]!",
    containerEdits: "ContainerEdits",
  },
  Device: { name: "string!", annotations: "string{}", containerEdits: "ContainerEdits!" },
  ContainerEdits: {
    env: "string[]",
    deviceNodes: "DeviceNode[]",
    mounts: "Mount[]",
    hooks: "Hook[]",
    additionalGids: "int64[]",
    intelRdt: "IntelRdt",
    netDevices: "NetDevice[]",
  },
  DeviceNode: {
    path: "string!",
    hostPath: "string",
    type: "string",
    major: "int64",
    minor: "int64",
    fileMode: "int64",
    permissions: "string",
    uid: "int64",
    gid: "int64",
  },
  Mount: { hostPath: "string!", containerPath: "string!", type: "string", options: "string[]" },
  Hook: { hookName: "string!", path: "string!", args: "string[]", env: "string[]", timeout: "int32" },
  IntelRdt: {
    closID: "string",
    l3CacheSchema: "string",
    memBwSchema: "string",
    enableCMT: "boolean",
    enableMBM: "boolean",
    schemata: "string[]",
    enableMonitoring: "boolean",
  },
  NetDevice: { hostInterfaceName: "string!", name: "string!" },
};

/** What a device, or all of a spec, changes in a container. Absent lists are empty. */
export interface CdiEdits {
  /** `NAME=VALUE`. */
  env?: string[];
  deviceNodes?: CdiDeviceNode[];
  mounts?: CdiMount[];
  hooks?: CdiHook[];
  additionalGids?: number[];
  intelRdt?: Record<string, unknown>;
  netDevices?: { hostInterfaceName: string; name: string }[];
}

export interface CdiDeviceNode {
  /** In the container. */
  path: string;
  /** Absent: the same as `path`. */
  hostPath?: string;
  /** `b`, `c`, `u` (as `c`) or `p`; absent: that of the host's node. */
  type?: string;
  major?: number;
  minor?: number;
  fileMode?: number;
  /** Of `rwm`; absent or "": all three; `none`. */
  permissions?: string;
  uid?: number;
  gid?: number;
}

export interface CdiMount {
  hostPath: string;
  containerPath: string;
  /** Of a file system, unless the options say bind. */
  type?: string;
  options?: string[];
}

export interface CdiHook {
  hookName: string;
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

export interface CdiDevice {
  name: string;
  annotations?: Record<string, string>;
  containerEdits: CdiEdits;
}

export interface CdiSpec {
  cdiVersion: string;
  /** `vendor/class`. */
  kind: string;
  annotations?: Record<string, string>;
  devices: CdiDevice[];
  containerEdits?: CdiEdits;
}
