/**
 * /logs/: the files of a directory, /var/log, as Go's file server shows them. Nothing outside of it is shown, whatever the
 * links in it say: pods may have it mounted. Not for: logs of containers.
 */
import { type FilesInside, openInside, resolveInside } from "../open_inside.ts";
import { type KubeletRequest, type Route, text } from "./routes.ts";

/** What is needed of the host. */
export interface SystemLogFiles extends FilesInside {
  list(path: string): Promise<string[] | undefined>;
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
  const real = await resolveInside(files, directory, `${directory}/${rest}`);
  if (real === undefined) return missing();
  const facts = await files.lstat(real);
  if (facts?.kind === "directory") {
    if (!path.endsWith("/")) return moved(`${path.split("/").at(-1)}/`);
    return await listing(files, real);
  }
  if (facts?.kind !== "file") return missing();
  if (path.endsWith("/")) return moved(`../${path.split("/").at(-2)}`);
  return await content(files, directory, real);
}

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
async function content(files: SystemLogFiles, directory: string, real: string): Promise<Response> {
  const file = await openInside(files, directory, real);
  if (file === undefined) return missing();
  const { size } = await file.stat();
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const bytes = await file.read(at, Math.min(block, size - at));
      at += bytes.length;
      if (bytes.length > 0) controller.enqueue(bytes);
      if (bytes.length > 0 && at < size) return;
      file.close();
      // What was announced cannot be kept: the connection ends, or the next answer would be read as this one's.
      if (at < size) controller.error(new Error(`${real} became shorter while it was read`));
      else controller.close();
    },
    cancel: () => file.close(),
  }, { highWaterMark: 0 });
  const type = /\.(gz|xz|zst|journal|db)$/.test(real)
    ? "application/octet-stream"
    : "text/plain; charset=utf-8";
  return new Response(body, { headers: { "content-type": type, "content-length": String(size) } });
}
