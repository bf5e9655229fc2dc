// Running other programs from the tools, and saying what a file is. Not for the agent.

import { createHash } from "node:crypto";

/** Standard output of a command that must succeed. @throws {Error} with its last words when it does not. */
export async function capture(
  command: string,
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, cwd, env, stdin: "null" })
    .output();
  const text = new TextDecoder();
  if (code !== 0) {
    const last = text.decode(stderr).trim().split("\n").slice(-20).join("\n");
    throw new Error(`${command} ${args.join(" ")}: exit status ${code}\n${last}`);
  }
  return text.decode(stdout);
}

/** SHA-256 of a file in hexadecimal. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

/** `PATH  41.5 MB  sha256:…` */
export async function describeFile(path: string): Promise<string> {
  const { size } = await Deno.stat(path);
  return `${path}  ${(size / 1e6).toFixed(1)} MB  sha256:${await hashFile(path)}`;
}
