/**
 * The sealed file in which a node keeps what it needs of its cluster. A file that cannot be used is told of and ignored; the
 * next save replaces it. Not for: what is kept (kept.ts), nor when (offline.ts).
 */
import { join } from "@std/path";
import { sha256 } from "../../lib/sha256.ts";
import { AgentError, errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { type Kept, parseKept } from "./kept.ts";
import { createSeal, type Seal } from "./seal.ts";

export type CacheHost = Pick<Host, "readFile" | "readText" | "writeFileAtomic">;

export interface CacheOptions {
  host: CacheHost;
  /** Exists. */
  stateDir: string;
  /** "": one in stateDir, which is made. */
  keyFile: string;
  /** As in `SealOptions`, now. */
  context(): readonly string[];
  /** Told in one sentence why a file was not used. */
  report(message: string): void;
}

export interface Cache {
  /** `undefined` when there is none that can be used. */
  load(): Promise<Kept | undefined>;
  /** Equal content is not written again. @throws when it cannot be written. */
  save(kept: Kept): Promise<void>;
}

const keyLength = 32;
const shortestKey = 16;

export const cachePath = (stateDir: string): string => join(stateDir, "offline.sealed");
/** Of the key, unless the configuration names one of somebody else's. */
export const keyPath = (stateDir: string): string => join(stateDir, "offline.key");

export function createCache(o: CacheOptions): Cache {
  const path = cachePath(o.stateDir);
  let written: string | undefined;
  return {
    async load() {
      try {
        const sealed = await o.host.readFile(path);
        if (sealed === undefined) return undefined;
        const text = await (await openSeal(o)).open(sealed);
        const kept = parseKept(JSON.parse(text));
        written = await sha256(text);
        return kept;
      } catch (error) {
        const why = error instanceof SyntaxError ? "it is not JSON" : errorText(error);
        o.report(
          `${path} is not used, so that pods of the cluster start when its API server answers: ${why}`,
        );
        return undefined;
      }
    },
    async save(kept) {
      const text = JSON.stringify(kept);
      const hash = await sha256(text);
      if (hash === written) return;
      written = undefined; // unknown, should the write fail half way
      await o.host.writeFileAtomic(path, await (await openSeal(o)).seal(text), 0o600);
      written = hash;
    },
  };
}

async function openSeal(o: CacheOptions): Promise<Seal> {
  const machine = (await o.host.readText("/etc/machine-id"))?.trim() ?? "";
  return await createSeal({ key: await readKey(o), machine, context: o.context() });
}

async function readKey({ host, stateDir, keyFile }: CacheOptions): Promise<Uint8Array> {
  const path = keyFile || keyPath(stateDir);
  const found = await host.readFile(path);
  if (found !== undefined) {
    if (found.length >= shortestKey) return found;
    throw new AgentError(
      "Unknown",
      `${path} has ${found.length} bytes, expected a key of ${shortestKey} or more`,
    );
  }
  if (keyFile !== "") throw new AgentError("Unknown", `${path} does not exist, which offline.keyFile names`);
  const key = crypto.getRandomValues(new Uint8Array(keyLength));
  await host.writeFileAtomic(path, key, 0o600);
  return key;
}
