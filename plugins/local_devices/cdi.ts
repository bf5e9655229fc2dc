/**
 * The CDI devices of a node: followed as their specs change, offered as extended resources, and carried out for
 * runtimes that do not know CDI. Not for: reading specs (cdi_files.ts), what they mean (agent/model/cdi*.ts).
 */
import { placed } from "../../agent/model/cdi.ts";
import { applyCdi, checkAppliedByAgent, type HostPaths, hostPathsOf } from "../../agent/model/cdi_edits.ts";
import { deviceOffers } from "../../agent/model/cdi_offers.ts";
import {
  cdiName,
  type CdiRegistry,
  collectCdi,
  conflictProblems,
  emptyCdiRegistry,
  mergedCdiEdits,
} from "../../agent/model/cdi_registry.ts";
import type { CdiDeviceNode } from "../../agent/model/cdi_schema.ts";
import type { ContainerSpec } from "../../agent/model/container.ts";
import type { DeviceNode } from "../../agent/model/device_node.ts";
import { AgentError, errorText, type Problem } from "../../agent/model/errors.ts";
import type { Device, DeviceSource } from "../../agent/plugin_ports.ts";
import type { Host } from "../../agent/ports.ts";
import { type Locate, type ReadSpec, readSpecs, type SpecFiles } from "./cdi_files.ts";
import { nodeAt } from "./host_nodes.ts";
import { lookAlways, placesOf } from "./look.ts";
import { createLocalSource } from "./source.ts";

/** Who carries the edits out. */
export interface CdiRuntime {
  /** `containerd 1.6.20`, for messages. */
  name: string;
  /** It takes names of CDI devices over CRI, and reads the specs itself. */
  takesNames: boolean;
}

export interface CdiOptions {
  host: SpecFiles & Pick<Host, "watchPlaces">;
  /** Of specs; the later ones win. */
  directories: readonly string[];
  /** Whether kinds of devices are extended resources. */
  offersResources: boolean;
  /** Asked anew each time; throws while the runtime does not answer. */
  runtime(signal: AbortSignal): Promise<CdiRuntime>;
  locate: Locate;
  report(problems: readonly Problem[]): void;
}

export interface Cdi {
  source: DeviceSource;
  /** Follows the specs, and the nodes of their devices, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /**
   * A container as a runtime that does not take CDI names is told of it: with what its devices change. Throws
   * CreateContainerConfigError.
   */
  carryOut(spec: ContainerSpec, signal: AbortSignal): Promise<ContainerSpec>;
}

export function createCdi(o: CdiOptions): Cdi {
  let registry: CdiRegistry = emptyCdiRegistry;
  let refused = new Set<string>();
  let takesNames = false;
  const local = createLocalSource("CDI specs", (resource, ids) =>
    Promise.resolve({
      owner: `CDI device ${resource}`,
      cdiDevices: ids.map((id) => cdiName(resource, id)),
    }));

  const readAll = async (signal: AbortSignal) => {
    const runtime = await o.runtime(signal);
    const read = await readSpecs(o.host, o.directories);
    registry = collectCdi(read.flatMap((each) => each.file ?? []));
    takesNames = runtime.takesNames;
    refused = runtime.takesNames ? new Set() : refuseFor(runtime.name, read);
    const located = await Promise.all(read.map(({ text, problems }) => o.locate(text, problems)));
    o.report([...located.flat(), ...conflictProblems(registry)]);
  };

  const offer = async () => {
    if (!o.offersResources) return;
    const offers = new Map<string, Device[]>();
    for (const [resource, names] of deviceOffers(registry, refused)) {
      const devices = names.map(async (id): Promise<Device> => ({
        id,
        healthy: await isThere(o.host, nodesOf(registry, cdiName(resource, id)), takesNames),
        numaNodes: [],
      }));
      offers.set(resource, await Promise.all(devices));
    }
    local.offer(offers);
  };

  return {
    source: local.source,
    async run(signal) {
      let nodes: AbortController | undefined;
      /** Of the nodes that the devices are, as long as the specs are as they are. */
      const followNodes = async (signal: AbortSignal) => {
        if (!o.offersResources) return;
        await lookAlways(o.host, placesOf(nodePaths(registry)), offer, signal);
      };
      const look = async () => {
        await readAll(signal);
        nodes?.abort();
        nodes = new AbortController();
        await offer();
        followNodes(AbortSignal.any([signal, nodes.signal])).catch((error) => failed.reject(error));
      };
      const failed = Promise.withResolvers<void>();
      const specs = o.directories.map((directory) => ({ directory }));
      try {
        await Promise.race([lookAlways(o.host, specs, look, signal), failed.promise]);
      } finally {
        nodes?.abort();
      }
    },
    async carryOut(spec, signal) {
      const names = spec.edits.cdiDevices ?? [];
      if (names.length === 0) return spec;
      const runtime = await o.runtime(signal);
      if (runtime.takesNames) return spec;
      // Anew: a device plugin may have written its spec a moment ago.
      const read = await readSpecs(o.host, o.directories);
      return await withCdi(o.host, collectCdi(read.flatMap((each) => each.file ?? [])), runtime.name, spec);
    },
  };
}

/** Adds to each spec's problems what this runtime cannot do; returns the devices that nobody can have. */
function refuseFor(runtime: string, read: readonly ReadSpec[]): Set<string> {
  const refused = new Set<string>();
  for (const { file, path, document, problems } of read) {
    if (file === undefined) continue;
    const devices = checkAppliedByAgent(
      file.spec,
      runtime,
      (at, message, severity = "error") =>
        problems.push(placed(path, document, { severity, path: at, message })),
    );
    for (const device of devices) refused.add(cdiName(file.spec.kind, device));
  }
  return refused;
}

const nodePaths = (registry: CdiRegistry): string[] =>
  [...registry.devices.keys()].flatMap((name) => hostPathsOf({ deviceNodes: nodesOf(registry, name) }));

const nodesOf = (registry: CdiRegistry, name: string): CdiDeviceNode[] =>
  mergedCdiEdits(registry, [name]).deviceNodes ?? [];

/** A device whose nodes are gone is of no use now; runtimes that know CDI make those whose numbers the spec says. */
async function isThere(
  host: Pick<Host, "stat">,
  nodes: readonly CdiDeviceNode[],
  takesNames: boolean,
): Promise<boolean> {
  const needed = nodes.filter((n) => !takesNames || !n.type || (n.type !== "p" && !n.major));
  const found = await Promise.all(hostPathsOf({ deviceNodes: needed }).map((path) => nodeAt(host, path)));
  return found.every((node) => node !== undefined);
}

async function withCdi(
  host: Pick<Host, "stat">,
  registry: CdiRegistry,
  runtime: string,
  spec: ContainerSpec,
): Promise<ContainerSpec> {
  try {
    const edits = mergedCdiEdits(registry, spec.edits.cdiDevices ?? []);
    const applied = applyCdi(edits, await lookAt(host, hostPathsOf(edits)), runtime);
    const others = <T>(list: readonly T[] | undefined, mine: readonly T[], key: keyof T): T[] => {
      const taken = new Set(mine.map((each) => each[key]));
      return [...(list ?? []).filter((each) => !taken.has(each[key])), ...mine];
    };
    return {
      ...spec,
      env: others(spec.env, applied.env, "name"),
      edits: {
        ...spec.edits,
        mounts: others(spec.edits.mounts, applied.mounts, "containerPath"),
        devices: others(spec.edits.devices, applied.devices, "containerPath"),
        groups: [...spec.edits.groups ?? [], ...applied.groups],
        cdiDevices: [],
      },
    };
  } catch (error) {
    throw new AgentError("CreateContainerConfigError", errorText(error), { cause: error });
  }
}

async function lookAt(host: Pick<Host, "stat">, paths: readonly string[]): Promise<HostPaths> {
  const found = new Map<string, DeviceNode | "other">();
  for (const path of new Set(paths)) {
    if (await host.stat(path) === undefined) continue;
    found.set(path, await nodeAt(host, path) ?? "other");
  }
  return found;
}
