/**
 * What plugins and the agent have left on the machine of each other's doing: volumes of the CSI driver at all the places
 * where one is known, and who has which devices. Not for: what there should be (expect.ts).
 */
import { join } from "@std/path";
import { parseCheckpoint } from "../../agent/model/device_checkpoint.ts";
import { idsOf } from "../../agent/model/devices.ts";
import { sha256 } from "../../agent/lib/sha256.ts";
import { output } from "../e2e/agent.ts";
import { names, text } from "./files.ts";
import { driverName } from "./pods.ts";

/** Places on the node where each volume should be once; those that the driver does not know stand there as they are. */
export const driverFacts = ["attached", "loop devices", "staging directories", "staging mounts"] as const;

/** Ids of volumes. */
export type DriverTraces = Record<"volumes" | (typeof driverFacts)[number], string[]>;

/** What the record of devices says. */
export interface Given {
  uid: string;
  container: string;
  ids: string[];
}

/** A living container that was told its devices. */
export interface DeviceUser {
  id: string;
  ids: string[];
}

interface DriverVolume {
  id: string;
  attached: boolean;
}

export async function readDriver(root: string, state: string): Promise<DriverTraces> {
  const directory = join(state, "volumes");
  const staged = join(root, "plugins/kubernetes.io/csi", driverName);
  const volumes = names(directory).filter((name) => name.endsWith(".json"))
    .flatMap((name) => text(join(directory, name)) ?? []).map((json) => JSON.parse(json) as DriverVolume);
  const hashes = new Map(
    await Promise.all(volumes.map(async ({ id }) => [await sha256(id), id] as const)),
  );
  const idOf = (hash: string) => hashes.get(hash) ?? hash;
  const loops = await output("losetup", ["-l", "-n", "-O", "BACK-FILE"]);
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n").map((line) => line.split(" ")[4])
    .filter((path) => path?.startsWith(`${root}/plugins/`)).map((path) => path!.split("/").at(-2)!);
  return {
    volumes: volumes.map((v) => v.id),
    attached: volumes.filter((v) => v.attached).map((v) => v.id),
    "loop devices": loops.stdout.split("\n").filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.trim().slice(directory.length + 1).replace(/\.img.*$/, "")),
    "staging directories": names(staged).map(idOf),
    "staging mounts": mounts.map(idOf),
  };
}

/** Throws where the record is not a whole one. */
export function readGiven(root: string): Given[] {
  const content = text(join(root, "device-plugins/kubelet_internal_checkpoint"));
  if (content === undefined) return [];
  return parseCheckpoint(content).entries.map((entry) => ({
    uid: entry.uid,
    container: entry.container,
    ids: idsOf(entry),
  }));
}

/** @param state directory of containerd's state */
export function readDeviceUsers(state: string): DeviceUser[] {
  const tasks = join(state, "io.containerd.runtime.v2.task/k8s.io");
  return names(tasks).flatMap((id) => {
    const pid = text(join(tasks, id, "init.pid"));
    const environment = pid === undefined ? undefined : text(`/proc/${pid}/environ`);
    const told = environment?.split("\0").find((line) => line.startsWith("DEVICES="));
    return told === undefined ? [] : [{ id, ids: told.slice("DEVICES=".length).split(",") }];
  });
}
