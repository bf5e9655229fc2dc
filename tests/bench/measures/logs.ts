/** How long it takes to read a long log over the network or the socket, as clients of the peer do. Not for: following. */
import { createPods } from "../pods.ts";
import { output } from "../../e2e/agent.ts";
import type { Peer } from "../peers/peer.ts";
import { whenTrue } from "../wait.ts";
import { removeAll } from "./removal.ts";

export const LOG_MIB = 64;
const line = "0123456789".repeat(10).slice(1);
const lines = LOG_MIB * 2 ** 20 / (line.length + 1);
const ROUNDS = 3;

async function readOnce(words: readonly string[]): Promise<{ bytes: number; ms: number }> {
  const asked = ["--silent", "--show-error", "--fail", "--output", "/dev/null"];
  const told = ["--write-out", "%{size_download} %{time_total}"];
  const { code, stdout, stderr } = await output("curl", [...asked, ...told, ...words]);
  if (code !== 0) throw new Error(`could not be measured: curl ${words.join(" ")}: ${stderr}`);
  const [bytes, seconds] = stdout.split(" ");
  return { bytes: Number(bytes), ms: 1000 * Number(seconds) };
}

async function readLog(peer: Peer): Promise<number[]> {
  const command = ["sh", "-c", `yes ${line} | head -n ${lines}; exec sleep 1000000`];
  const pods = createPods("talking", 1, { command });
  await peer.add(pods);
  await peer.whenRunning(pods[0]!);
  const words = peer.logs!(pods[0]!);
  await whenTrue(
    `${peer.name}: all is written`,
    async () => (await readOnce(words)).bytes >= LOG_MIB * 2 ** 20,
    200,
  );
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) samples.push((await readOnce(words)).ms);
  await removeAll(peer, pods);
  return samples;
}

/** @returns ms of each round */
export async function measureLogs(
  peers: readonly Peer[],
  tell: (text: string) => void,
): Promise<Map<Peer, number[]>> {
  const all = new Map<Peer, number[]>();
  for (const peer of peers) {
    if (peer.logs === undefined) continue;
    tell(`${peer.name}: reads ${LOG_MIB} MiB of logs`);
    all.set(peer, await readLog(peer));
  }
  return all;
}
