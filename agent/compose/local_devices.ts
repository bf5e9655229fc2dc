/**
 * Devices that need no device plugin: who offers them, and what runtimes that know no CDI are told. Not for: who gets
 * them (node/device_ledger.ts).
 */
import type { Config } from "../config/config.ts";
import { takesCdiNames } from "../model/cdi_runtime.ts";
import { withBuiltins } from "../model/host_devices.ts";
import type { DeviceSource } from "../plugin_ports.ts";
import type { Host, Runtime } from "../ports.ts";
import { locateProblems } from "../sources/locate.ts";
import type { StatusStore } from "../status_store.ts";
import {
  createCdi,
  createHostDevices,
  createNvidia,
  followDevices,
  withDeviceGroups,
} from "../../plugins/local_devices/mod.ts";

export interface LocalDeviceParts {
  /** The ones before win. */
  sources: readonly DeviceSource[];
  /** Containers are created with what their CDI devices change. */
  runtime: Runtime;
  /** Follows what comes and goes, each until the signal aborts. */
  services: readonly { name: string; run(signal: AbortSignal): Promise<void> }[];
}

export function createLocalDevices(
  o: { config: Config; host: Host; runtime: Runtime; store: StatusStore },
): LocalDeviceParts {
  const { config, host, runtime, store } = o;
  const cdi = createCdi({
    host,
    directories: config.cdi.specDirs,
    offersResources: config.cdi.resources,
    async runtime(signal) {
      const { name, version } = await runtime.version(signal);
      const { takesCdiNames: told } = await runtime.status(signal);
      const takesNames = config.cdi.appliedBy === "auto"
        ? takesCdiNames(name, version, told)
        : config.cdi.appliedBy === "runtime";
      return { name: `${name} ${version}`, takesNames };
    },
    locate: locateProblems,
    report: (problems) => store.setProblems("cdi", problems),
  });
  const seen = [
    createHostDevices(host, withBuiltins(config.hostDevices, config.builtinDevices)),
    ...config.builtinDevices ? [createNvidia(host)] : [],
  ];
  return {
    sources: [cdi.source, ...seen.map((each) => each.source)],
    runtime: {
      ...runtime,
      createContainer: async (spec, signal) =>
        await runtime.createContainer(
          await withDeviceGroups(host, await cdi.carryOut(spec, signal)),
          signal,
        ),
    },
    services: [
      { name: "CDI specs", run: (signal) => cdi.run(signal) },
      { name: "devices of the host", run: (signal) => followDevices(host, seen, signal) },
    ],
  };
}
