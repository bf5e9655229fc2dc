/** The CLI as people use it: with something on its standard input, or below a terminal. Not for: assertions. */
import { type AgentUnderTest, binary } from "./agent.ts";
import { until } from "./containerd.ts";

/** The CLI with something on its standard input. */
export async function cliWith(stdin: Uint8Array, agent: AgentUnderTest, ...args: string[]) {
  const child = new Deno.Command(binary, {
    args,
    env: { AGENT_SOCKET: agent.socket },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const fed = ReadableStream.from([stdin]).pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await fed;
  return { code, stdout, stderr: new TextDecoder().decode(stderr) };
}

/** The CLI below a terminal of its own. */
export const inTerminal = (agent: AgentUnderTest, commandLine: string) =>
  terminal(`'${binary}' ${commandLine}`, { AGENT_SOCKET: agent.socket });

/** A command line below a terminal of its own, of 100 x 40 cells. */
export function terminal(commandLine: string, env: Record<string, string>) {
  const line = `stty rows 40 cols 100; tty; ${commandLine}`;
  const child = new Deno.Command("script", {
    args: ["-qec", line, "/dev/null"],
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  const read = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeTo(new WritableStream({ write: (chunk) => void (text += chunk) }));
  const keys = child.stdin.getWriter();
  return {
    shows: (pattern: RegExp) =>
      until(`the terminal shows ${pattern}`, () => pattern.test(text)).catch((error) => {
        throw new Error(`${error}; it showed: ${text}`);
      }),
    press: (text: string) => keys.write(new TextEncoder().encode(text)),
    device: () => /\/dev\/pts\/\d+/.exec(text)?.[0] ?? "",
    text: () => text,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await keys.close().catch(() => {});
      await Promise.allSettled([read, child.status]);
    },
    async ended(): Promise<number> {
      const { code } = await child.status;
      await read;
      return code;
    },
  };
}
