/** `agent images`: list, import and pull, with progress. */
import { resolve } from "@std/path";
import { type ApiClient, createApiClient } from "./client.ts";
import { type Command, type ParsedArgs, UsageError } from "./command.ts";
import { listImages, outputFlag } from "./get.ts";
import { type Io, socketPath } from "./io.ts";
import { createProgress, progressBar } from "./render/progress.ts";
import { formatBytes } from "./render/text.ts";

/** One line of the API's answer to a pull or import; the last one has `done` or `error`. */
export interface ImageLine {
  subject: string;
  elapsedMs: number;
  offset?: number;
  total?: number;
  done?: string[];
  error?: { reason: string; message: string };
}

export function imageProgressText(
  { subject, elapsedMs, offset, total, done, error }: ImageLine,
  terminal: boolean,
): string {
  const seconds = `${(elapsedMs / 1000).toFixed(1)}s`;
  if (error !== undefined) return `${subject}: ${error.reason}`;
  if (done !== undefined) return `${subject}: done in ${seconds}`;
  if (!terminal) return `${subject}: …`;
  const share = offset !== undefined && total ? offset / total : undefined;
  const bytes = offset === undefined
    ? ""
    : ` ${formatBytes(offset)}${total ? ` of ${formatBytes(total)}` : ""}`;
  return `${subject}: ${progressBar(share, elapsedMs)}${bytes} ${seconds}`;
}

/** One after the other; what failed is told at the end and the rest still tried. */
async function each(
  action: "pull" | "import",
  subjects: readonly string[],
  client: ApiClient,
  io: Io,
): Promise<number> {
  let failed = 0;
  for (const subject of subjects) {
    const progress = createProgress(io);
    const body = action === "pull" ? { image: subject } : { path: resolve(io.cwd(), subject) };
    let last: ImageLine | undefined;
    for await (const line of client.lines<ImageLine>(`/images/${action}`, body, io.signal)) {
      last = line;
      await progress([imageProgressText({ ...line, subject }, io.errIsTerminal)]);
    }
    if (last?.done !== undefined) await io.out(last.done.map((name) => name + "\n").join(""));
    else {
      failed++;
      await io.err(`Error: ${subject}: ${last?.error?.message ?? "the agent stopped before it was done"}\n`);
    }
  }
  return failed > 0 ? 1 : 0;
}

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const [action = "list", ...subjects] = args.positional;
  if (action === "list" && subjects.length > 0) throw new UsageError(`"agent images list" takes no names`);
  if (action !== "list" && subjects.length === 0) {
    throw new UsageError(`"agent images ${action}" needs ${action === "pull" ? "IMAGE" : "FILE"}`);
  }
  const client = createApiClient(socketPath(args, io));
  try {
    if (action === "list") return await listImages(args, client, io);
    return await each(action === "pull" ? "pull" : "import", subjects, client, io);
  } finally {
    client.close();
  }
}

export const images: Command = {
  name: "images",
  summary: "List images, import archives, pull from a registry",
  details:
    "Archives are OCI or docker archives (.tar, .tar.gz, .tar.zst). The agent opens them itself: they must be\n" +
    "where it can read them.",
  arguments: [
    {
      name: "ACTION",
      required: false,
      values: ["list", "import", "pull"],
      summary: "list (default), import or pull",
    },
    { name: "FILE|IMAGE", required: false, repeated: true, complete: "files" },
  ],
  flags: [outputFlag, { name: "no-headers", kind: "boolean", summary: "leave the head of the table out" }],
  examples: [
    { does: "Without any registry", line: "agent images import app.tar.gz" },
    { does: "Fetch an image before a pod needs it", line: "agent images pull registry.example/app:1.2" },
  ],
  run,
};
