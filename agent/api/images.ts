/** Routes of images: list, pull and import with progress as JSON lines. Not for: deciding when to pull. */
import type { Context, Hono } from "hono";
import { AgentError, errorText } from "../model/errors.ts";
import { jsonLine, streamOf } from "./stream.ts";
import { statusOf } from "./v1.ts";

export interface ApiImage {
  id: string;
  repoTags: string[];
  repoDigests: string[];
  /** Bytes. */
  size: number;
}

export interface ApiImages {
  list(signal: AbortSignal): Promise<ApiImage[]>;
  /** Pulls with the credentials that the agent knows for the image; returns its reference. */
  pull(image: string, signal: AbortSignal): Promise<string>;
  /** Names that the archive at this absolute path brought. */
  importArchive(path: string, signal: AbortSignal): Promise<string[]>;
  /** How far a pull is, where the runtime tells. Bytes. */
  progress?(image: string): { offset?: number; total?: number } | undefined;
}

/** One line of the answer to a pull or import; the last one has `done` or `error`. */
export interface ImageProgress {
  subject: string;
  elapsedMs: number;
  offset?: number;
  total?: number;
  done?: string[];
  error?: { reason: string; message: string };
}

const maxBody = 64 * 1024;

/** One text field of a JSON body, or why it cannot be had. */
async function textField(c: Context, field: string): Promise<{ value: string } | { problem: string }> {
  const expected = `expected a JSON body like {"${field}": "…"}`;
  if (Number(c.req.header("content-length") ?? 0) > maxBody) {
    return { problem: `${expected}, of at most 64 KiB` };
  }
  let body: unknown;
  try {
    body = await c.req.json();
  } catch {
    return { problem: expected };
  }
  const value = typeof body === "object" && body !== null
    ? (body as Record<string, unknown>)[field]
    : undefined;
  return typeof value === "string" && value !== "" ? { value } : { problem: expected };
}

async function* progressLines(
  subject: string,
  start: () => Promise<string[]>,
  progress: () => { offset?: number; total?: number } | undefined,
): AsyncGenerator<Uint8Array> {
  const startedAt = performance.now();
  const line = (rest: Partial<ImageProgress>) =>
    jsonLine(
      { subject, elapsedMs: Math.round(performance.now() - startedAt), ...rest } satisfies ImageProgress,
    );
  const outcome = start().then(
    (done): Partial<ImageProgress> => ({ done }),
    (error): Partial<ImageProgress> => ({
      error: { reason: error instanceof AgentError ? error.reason : "Unknown", message: errorText(error) },
    }),
  );
  for (;;) {
    yield line(progress() ?? {});
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tick = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), 500));
    const ended = await Promise.race([outcome, tick]);
    clearTimeout(timer);
    if (ended !== undefined) return yield line(ended);
  }
}

export function addImageRoutes(app: Hono, images: ApiImages, signal: AbortSignal): void {
  const answer = (subject: string, start: (signal: AbortSignal) => Promise<string[]>) =>
    new Response(
      streamOf(
        (ended) => progressLines(subject, () => start(ended), () => images.progress?.(subject)),
        signal,
      ),
      { headers: { "content-type": "application/json-lines" } },
    );
  app.get("/images", async (c) => {
    const list = await images.list(signal);
    return c.json({ kind: "ImageList", apiVersion: "v1", metadata: {}, items: list });
  });
  app.post("/images/pull", async (c) => {
    const image = await textField(c, "image");
    if ("problem" in image) return c.json(statusOf("BadRequest", image.problem), 400);
    return answer(image.value, async (ended) => [await images.pull(image.value, ended)]);
  });
  app.post("/images/import", async (c) => {
    const path = await textField(c, "path");
    if ("problem" in path) return c.json(statusOf("BadRequest", path.problem), 400);
    if (!path.value.startsWith("/")) {
      return c.json(statusOf("BadRequest", `path: expected an absolute path, found "${path.value}"`), 400);
    }
    return answer(path.value, (ended) => images.importArchive(path.value, ended));
  });
}
