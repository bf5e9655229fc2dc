/**
 * Image archives into the runtime's store. CRI has no call for it, so containerd's own `ctr` does it, in the namespace
 * where CRI looks. Not for: choosing archives, watching their directory.
 */
import { AgentError, errorText } from "../../agent/model/errors.ts";
import type { ImageStatus } from "../../agent/ports.ts";
import { CRI_NAMESPACE } from "./events.ts";

export interface ArchiveImporter {
  /** @param look asks CRI for an image, to wait until it knows what was imported */
  importArchive(
    path: string,
    look: (name: string) => Promise<ImageStatus | undefined>,
    signal: AbortSignal,
  ): Promise<string[]>;
}

export interface ImporterOptions {
  socket: string;
  runtimeName(signal: AbortSignal): Promise<string>;
  ctr?: string;
}

const PROGRAM_DIRECTORIES = [
  "/usr/local/bin",
  "/usr/bin",
  "/usr/local/sbin",
  "/usr/sbin",
  "/bin",
  "/opt/bin",
];

export function createArchiveImporter(options: ImporterOptions): ArchiveImporter {
  return {
    importArchive: async (path, look, signal) => {
      const runtime = await options.runtimeName(signal);
      if (runtime !== "containerd") {
        throw importError(
          path,
          `${runtime} takes no archives; bring the image with ` +
            `"skopeo copy docker-archive:${path} containers-storage:NAME"`,
        );
      }
      const ctr = options.ctr ?? await findProgram("ctr");
      if (ctr === undefined) {
        throw importError(path, `needs containerd's program "ctr", which is not installed`);
      }
      const prefix = ["--address", options.socket, "--namespace", CRI_NAMESPACE, "images"];
      const run = (args: string[], input?: ReadableStream<Uint8Array>) =>
        runCtr({ ctr, args: [...prefix, ...args], input, path }, signal);
      const names = importedNames(await run(["import", "-"], await openArchive(path)));
      if (names.length === 0) throw importError(path, "it brings no image with a name");
      for (const name of names) await run(["label", name, "io.cri-containerd.pinned=pinned"]);
      for (const name of names) await waitUntilKnown(name, path, look, signal);
      return names;
    },
  };
}

const importError = (path: string, why: string): AgentError =>
  new AgentError("Unknown", `image archive ${path}: ${why}`);

/** What `ctr images import` says: `unpacking NAME (sha256:…)...done`; from 2.0 on also `NAME  saved`. */
export function importedNames(output: string): string[] {
  const names = new Set<string>();
  for (const line of output.split(/[\r\n]+/)) {
    const match = /^unpacking (\S+) \(/.exec(line) ?? /^(\S+\/\S+[:@]\S+)\s+saved\b/.exec(line);
    if (match?.[1] !== undefined) names.add(match[1]);
  }
  return [...names];
}

async function findProgram(name: string): Promise<string | undefined> {
  for (const directory of PROGRAM_DIRECTORIES) {
    const path = `${directory}/${name}`;
    const found = await Deno.stat(path).then((s) => s.isFile, () => false);
    if (found) return path;
  }
  return undefined;
}

/** The archive's tar stream, whatever compresses it: gzip (RFC 1952) and zstd (RFC 8878) are known by their first bytes. */
async function openArchive(path: string): Promise<ReadableStream<Uint8Array>> {
  try {
    const file = await Deno.open(path);
    const magic = new Uint8Array(4);
    const length = await file.read(magic) ?? 0;
    await file.seek(0, Deno.SeekMode.Start);
    const start = Array.from(magic.subarray(0, length), (byte) => byte.toString(16).padStart(2, "0")).join(
      "",
    );
    const format = start.startsWith("1f8b") ? "gzip" : start === "28b52ffd" ? "zstd" : undefined;
    return format === undefined ? file.readable : await decompress(file.readable, format);
  } catch (error) {
    throw importError(path, errorText(error));
  }
}

/** Node's streams cost 5 MB of memory, so they are loaded when an archive needs them. */
async function decompress(
  source: ReadableStream<Uint8Array>,
  format: "gzip" | "zstd",
): Promise<ReadableStream<Uint8Array>> {
  const [{ Duplex }, zlib] = await Promise.all([import("node:stream"), import("node:zlib")]);
  const by = format === "gzip" ? zlib.createGunzip() : zlib.createZstdDecompress();
  const { readable, writable } = Duplex.toWeb(by);
  source.pipeTo(writable as WritableStream<Uint8Array>).catch(() => {});
  return readable as ReadableStream<Uint8Array>;
}

interface CtrRun {
  ctr: string;
  args: string[];
  input: ReadableStream<Uint8Array> | undefined;
  path: string;
}

/** @returns its standard output */
async function runCtr({ ctr, args, input, path }: CtrRun, signal: AbortSignal): Promise<string> {
  const stdin = input === undefined ? "null" : "piped";
  const child = new Deno.Command(ctr, { args, stdin, stdout: "piped", stderr: "piped", signal }).spawn();
  let broken: unknown;
  const fed = input?.pipeTo(child.stdin).catch((error) => broken = error);
  const { code, stdout, stderr } = await child.output();
  await fed;
  if (signal.aborted) throw new AgentError("Aborted", "aborted");
  if (code === 0 && broken === undefined) return new TextDecoder().decode(stdout);
  const said = new TextDecoder().decode(stderr).trim().replace(/^ctr: /, "");
  // A damaged compressed file shows as an early end to ctr; the cause says more.
  const cause = broken === undefined || /broken pipe/i.test(errorText(broken)) ? said : errorText(broken);
  const { reason, message } = importError(path, cause === "" ? said : cause);
  throw new AgentError(isAway(said) ? "RuntimeUnavailable" : reason, message);
}

/** Whether ctr says that containerd was not there or went away meanwhile, for which no archive is to blame. */
export const isAway = (said: string): boolean =>
  /failed to (dial|send)|connection (refused|reset|error)|transport is closing|reading from server|code = Unavailable/i
    .test(said);

/** CRI learns of new images from containerd's events, a moment after ctr has ended. */
const KNOWN_LIMIT_MS = 10_000;

async function waitUntilKnown(
  name: string,
  path: string,
  look: (name: string) => Promise<ImageStatus | undefined>,
  signal: AbortSignal,
): Promise<void> {
  for (let wait = 5, waited = 0; waited < KNOWN_LIMIT_MS; waited += wait, wait *= 2) {
    if (await look(name) !== undefined) return;
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (signal.aborted) throw new AgentError("Aborted", "aborted");
  }
  throw importError(path, `CRI does not show "${name}" ${KNOWN_LIMIT_MS / 1000} s after its import`);
}
