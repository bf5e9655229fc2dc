/**
 * Which pods have which claims: a note in each pod's own directory, for the directory's lifetime, so that a pod counts
 * until the last of it is gone from this node, whatever is killed meanwhile. Not for: what follows from it.
 */
import { join } from "@std/path";
import type { Host } from "../../ports.ts";
import { isPart, podPaths, podsDirectory } from "../paths.ts";

/** The claims of one pod: key -> uid. */
type Held = ReadonlyMap<string, string>;

export interface ClaimUsers {
  /** Reads all notes. Once, before all else. */
  load(): Promise<void>;
  /** Before anything of the claim's volume is given to the pod. */
  add(podUid: string, key: string, claimUid: string): Promise<void>;
  /** Drops what the pod has beyond these claims; returns the keys of what it dropped. */
  keepOnly(podUid: string, keys: ReadonlySet<string>): Promise<string[]>;
  /** The pod's directory is gone; returns the keys that it had. */
  gone(podUid: string): string[];
  of(podUid: string): Held;
  /** Pods that have the claim of this uid. */
  podsWith(claimUid: string): string[];
  /** Uids of claims. */
  used(): Set<string>;
}

const noteName = "claims";

export function createClaimUsers(host: Host, rootDir: string): ClaimUsers {
  const held = new Map<string, Map<string, string>>();
  let last: Promise<unknown> = Promise.resolve();
  /** One after the other: the volumes of a pod are published at once. */
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const next = last.then(change);
    last = next.catch(() => {});
    return next;
  };
  const noteOf = (podUid: string) => join(podPaths(rootDir, podUid).notes, noteName);

  async function write(podUid: string, claims: Map<string, string>): Promise<void> {
    const { notes } = podPaths(rootDir, podUid);
    if (claims.size === 0) await host.remove(noteOf(podUid));
    else {
      await host.mkdir(notes, 0o750);
      await host.writeFileAtomic(noteOf(podUid), JSON.stringify(Object.fromEntries(claims)), 0o600);
    }
    if (claims.size === 0) held.delete(podUid);
    else held.set(podUid, claims);
  }

  return {
    async load() {
      const uids = (await host.list(podsDirectory(rootDir)) ?? []).filter(isPart);
      for (const uid of uids) {
        const claims = parseNote(await host.readText(noteOf(uid)).catch(() => undefined));
        if (claims.size > 0) held.set(uid, claims);
      }
    },
    add: (podUid, key, claimUid) =>
      inTurn(async () => {
        const claims = held.get(podUid) ?? new Map<string, string>();
        if (claims.get(key) !== claimUid) await write(podUid, new Map([...claims, [key, claimUid]]));
      }),
    keepOnly: (podUid, keys) =>
      inTurn(async () => {
        const claims = [...held.get(podUid) ?? []];
        const kept = claims.filter(([key]) => keys.has(key));
        if (kept.length === claims.length) return [];
        await write(podUid, new Map(kept));
        return claims.map(([key]) => key).filter((key) => !keys.has(key));
      }),
    gone(podUid) {
      const keys = [...held.get(podUid)?.keys() ?? []];
      held.delete(podUid);
      return keys;
    },
    of: (podUid) => held.get(podUid) ?? new Map(),
    podsWith: (claimUid) =>
      [...held].filter(([, claims]) => [...claims.values()].includes(claimUid)).map(([uid]) => uid),
    used: () => new Set([...held.values()].flatMap((claims) => [...claims.values()])),
  };
}

function parseNote(text: string | undefined): Map<string, string> {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    const entries = Object.entries(typeof value === "object" && value !== null ? value : {});
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  } catch {
    return new Map();
  }
}
