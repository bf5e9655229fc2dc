/** The file that users download: its size, and how long `agent version` takes, first and later. */
import { binary } from "../../e2e/agent.ts";

export interface BinaryFacts {
  /** MiB. */
  size: number;
  /** ms with nothing unpacked yet, and each later start. */
  firstStart: number;
  laterStarts: number[];
}

const STARTS = 20;

async function timedStart(env: Record<string, string>): Promise<number> {
  const begin = performance.now();
  const { success } = await new Deno.Command(binary, { args: ["version"], env, stdout: "null" }).output();
  if (!success) throw new Error("could not be measured: agent version failed");
  return performance.now() - begin;
}

export async function measureBinary(): Promise<BinaryFacts> {
  const directory = await Deno.makeTempDir({ prefix: "agent-bench-unpack-" });
  try {
    const env = { AGENT_UNPACK_DIR: directory };
    const firstStart = await timedStart(env);
    const laterStarts: number[] = [];
    for (let i = 0; i < STARTS; i++) laterStarts.push(await timedStart(env));
    return { size: (await Deno.stat(binary)).size / 2 ** 20, firstStart, laterStarts };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
