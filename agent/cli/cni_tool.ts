/** What `agent cni` works with, as main gives it. Not for: the command (cni.ts). */
import type { CniNetwork, Json } from "../model/cni_config.ts";
import type { Problem } from "../model/errors.ts";

/** Where things are, instead of where the agent of this machine has them. */
export interface CniPlaces {
  confDir?: string | undefined;
  /** Looked at first. */
  binDirs: readonly string[];
  cacheDir?: string | undefined;
}

/** Networks as files describe them. */
export interface FoundNetworks {
  networks: { file: string; network: CniNetwork }[];
  problems: Problem[];
}

/** One interface of one container. */
export interface CniAttachment {
  containerId: string;
  ifname: string;
  /** Path. */
  netns: string;
  args: readonly (readonly [string, string])[];
  capabilityArgs: Json;
}

export interface RecordedAttachment extends CniAttachment {
  network: CniNetwork;
  /** Of ADD, in the network's version; absent: it did not end. */
  result?: Json;
  owner?: string;
}

export interface CniTool {
  confDir: string;
  networks(): Promise<FoundNetworks>;
  /** Of one file. */
  read(file: string): Promise<FoundNetworks>;
  recorded(): Promise<RecordedAttachment[]>;
  /** Returns the result in the network's version. */
  add(network: CniNetwork, of: CniAttachment, signal: AbortSignal): Promise<Json>;
  /** By name: with the configuration on record. */
  del(network: CniNetwork | string, of: CniAttachment, signal: AbortSignal): Promise<void>;
  check(network: CniNetwork | string, of: CniAttachment, signal: AbortSignal): Promise<void>;
  /** Detaches all of the network but what is valid; returns what was on record. */
  gc(
    network: CniNetwork,
    valid: readonly { containerID: string; ifname: string }[],
    signal: AbortSignal,
  ): Promise<CniAttachment[]>;
  /** Throws why it takes no containers. */
  status(network: CniNetwork, signal: AbortSignal): Promise<void>;
  /** Of a plugin. */
  versions(type: string, signal: AbortSignal): Promise<string[]>;
}
