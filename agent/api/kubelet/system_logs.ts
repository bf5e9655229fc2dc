/**
 * /logs/: the files of a directory, /var/log, as Go's file server shows them. Nothing outside of it is shown, whatever the
 * links in it say: pods may have it mounted. Not for: logs of containers.
 */
import type { KubeletRequest, Route } from "./routes.ts";
import { text } from "./routes.ts";

/** What is needed of the host. */
export interface SystemLogFiles {
  list(path: string): Promise<string[] | undefined>;
  lstat(path: string): Promise<FileFacts | undefined>;
  realPath(path: string): Promise<string | undefined>;
  openFile(path: string): Promise<OpenedFile | undefined>;
}

interface FileFacts {
  kind: string;
  size: number;
  dev: number;
  ino: number;
}

interface OpenedFile {
  stat(): Promise<{ size: number; dev: number; ino: number }>;
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): void;
}

const block = 64 * 1024;

export const systemLogRoutes = (files: SystemLogFiles, directory: string): Route[] => [
  { methods: ["GET"], path: "/logs/*", answer: (request) => show(files, directory, request) },
];

const missing = () => text(404, "404 page not found\n");

async function show(files: SystemLogFiles, directory: string, request: KubeletRequest): Promise<Response> {
  const { path, params } = request;
  const rest = params["rest"]!;
  if (rest.split("/").some((part) => part === "..") || rest.includes("\0")) {
    return text(400, "invalid URL path\n");
  }
  const root = await files.realPath(directory);
  const real = root === undefined ? undefined : await files.realPath(`${directory}/${rest}`);
  if (root === undefined || real === undefined || !isInside(root, real)) return missing();
  const facts = await files.lstat(real);
  if (facts?.kind === "directory") {
    if (!path.endsWith("/")) return moved(`${path.split("/").at(-1)}/`);
    return await listing(files, real);
  }
  if (facts?.kind !== "file") return missing();
  if (path.endsWith("/")) return moved(`../${path.split("/").at(-2)}`);
  return await content(files, root, real);
}

const isInside = (root: string, path: string): boolean => path === root || path.startsWith(`${root}/`);

const moved = (location: string) =>
  new Response(null, { status: 301, headers: { location: encodeURI(location) } });

async function listing(files: SystemLogFiles, directory: string): Promise<Response> {
  const names = await files.list(directory) ?? [];
  const facts = await Promise.all(names.map((name) => files.lstat(`${directory}/${name}`)));
  const lines = names.map((name, i) => {
    const shown = facts[i]?.kind === "directory" ? `${name}/` : name;
    return `<a href="${encodeURIComponent(name)}${shown === name ? "" : "/"}">${escaped(shown)}</a>\n`;
  });
  const body = `<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${
    lines.join("")
  }</pre>\n`;
  return new Response(body, { headers: { "content-type": "text/html; charset=utf-8" } });
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};

const escaped = (name: string) => name.replace(/[&<>"']/g, (c) => entities[c]!);

/** As long as it was when it was opened. */
async function content(files: SystemLogFiles, root: string, real: string): Promise<Response> {
  const file = await files.openFile(real);
  if (file === undefined) return missing();
  const opened = await file.stat();
  // What has been put in its place, or in that of a directory above it, between looking and opening is not shown.
  const [again, named] = await Promise.all([files.realPath(real), files.lstat(real)]);
  const same = again === real && isInside(root, real) && named?.kind === "file" && named.dev === opened.dev &&
    named.ino === opened.ino;
  if (!same) {
    file.close();
    return missing();
  }
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const bytes = await file.read(at, Math.min(block, opened.size - at));
      at += bytes.length;
      if (bytes.length > 0) controller.enqueue(bytes);
      if (bytes.length > 0 && at < opened.size) return;
      file.close();
      // What was announced cannot be kept: the connection ends, or the next answer would be read as this one's.
      if (at < opened.size) controller.error(new Error(`${real} became shorter while it was read`));
      else controller.close();
    },
    cancel: () => file.close(),
  }, { highWaterMark: 0 });
  const type = /\.(gz|xz|zst|journal|db)$/.test(real)
    ? "application/octet-stream"
    : "text/plain; charset=utf-8";
  return new Response(body, { headers: { "content-type": type, "content-length": String(opened.size) } });
}
