/**
 * Plugins that mean harm, or are broken as if they did, at sockets in the registration directory: each fails within its
 * deadline, the memory stays bounded, and the good one beside them is served at once.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { silentLog } from "../../../../agent/lib/log.ts";
import type { PluginReport } from "../../../../agent/model/plugin_report.ts";
import { runRegistry } from "../../../../plugins/registry/mod.ts";
import { encodeFrame, encodeSettings, FrameType } from "../../../../plugins/rpc/frames.ts";
import { PluginInfo } from "../../../../plugins/rpc/gen/pluginregistration.ts";
import { frameMessage } from "../../../../plugins/rpc/messages.ts";
import { startRegisteringPlugin } from "../../../fakes/registration.ts";
import { until } from "../../../fakes/until.ts";
import { createRawPeer, dataFrame, headerFrames, type RawPeer } from "../rpc/raw_peer.ts";

const deadlineMs = 1500;

/** Greets, waits for the question, then does what it does until the connection ends. */
type Attack = (peer: RawPeer, streamId: number) => Promise<void>;

const ok: [string, string][] = [[":status", "200"], ["content-type", "application/grpc"]];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const answer = (info: Partial<PluginInfo>) =>
  frameMessage(PluginInfo.encode(PluginInfo.fromPartial(info)).finish());
const filler = new Uint8Array(16_000).fill(0x41);

async function forEver(act: () => Promise<void>): Promise<void> {
  for (;;) await act();
}

async function answerWith(peer: RawPeer, streamId: number, message: Uint8Array): Promise<void> {
  await peer.send(headerFrames(streamId, ok), dataFrame(streamId, message, false));
  await peer.send(headerFrames(streamId, [["grpc-status", "0"]], true));
}

const attacks: Record<string, { attack: Attack; error: RegExp }> = {
  silent: { attack: () => Promise.resolve(), error: /DEADLINE_EXCEEDED/ },
  drips: {
    async attack(peer, streamId) {
      const headers = headerFrames(streamId, ok);
      await forEver(async () => {
        for (const byte of headers) {
          await peer.send(Uint8Array.of(byte));
          await pause(200);
        }
      });
    },
    error: /DEADLINE_EXCEEDED/,
  },
  "drips-message": {
    async attack(peer, streamId) {
      await peer.send(headerFrames(streamId, ok));
      const message = answer({ type: "CSIPlugin", name: "a".repeat(2000) });
      for (const byte of message) {
        await peer.send(dataFrame(streamId, Uint8Array.of(byte), false));
        await pause(100);
      }
    },
    error: /DEADLINE_EXCEEDED/,
  },
  huge: {
    async attack(peer, streamId) {
      await peer.send(
        headerFrames(streamId, ok),
        dataFrame(streamId, Uint8Array.of(0, 0x40, 0, 0, 0), false),
      );
      await forEver(() => peer.send(dataFrame(streamId, filler, false)));
    },
    error: /RESOURCE_EXHAUSTED/,
  },
  "many-answers": {
    async attack(peer, streamId) {
      await peer.send(headerFrames(streamId, ok));
      await forEver(() => peer.send(dataFrame(streamId, answer({ type: "CSIPlugin", name: "a" }), false)));
    },
    error: /gave two responses/,
  },
  noise: { attack: (peer) => forEver(() => peer.send(filler)), error: /UNAVAILABLE|INTERNAL/ },
  "endless-headers": {
    async attack(peer, streamId) {
      await peer.send(encodeFrame(FrameType.HEADERS, 0, streamId, filler));
      await forEver(() => peer.send(encodeFrame(FrameType.CONTINUATION, 0, streamId, filler)));
    },
    error: /UNAVAILABLE|INTERNAL|RESOURCE_EXHAUSTED/,
  },
  "endless-hints": {
    attack: (peer, streamId) => forEver(() => peer.send(headerFrames(streamId, [[":status", "103"]]))),
    error: /DEADLINE_EXCEEDED|UNAVAILABLE|INTERNAL|RESOURCE_EXHAUSTED/,
  },
  "endless-settings": {
    attack: (peer) => forEver(() => peer.send(encodeSettings([[3, 100]]))),
    error: /DEADLINE_EXCEEDED|UNAVAILABLE/,
  },
  "no-message": {
    attack: (peer, streamId) => answerWith(peer, streamId, frameMessage(new Uint8Array(200).fill(0xff))),
    error: /cannot be decoded/,
  },
  "hangs-up": { attack: (peer) => Promise.resolve(peer.close()), error: /UNAVAILABLE/ },
  "long-name": {
    attack: (peer, streamId) =>
      answerWith(peer, streamId, answer({ type: "CSIPlugin", name: "n".repeat(10_000) })),
    error: /its name is "n{57}\.\.\."; expected 1 to 253/,
  },
  "escapes": {
    attack: (peer, streamId) => answerWith(peer, streamId, answer({ type: "CSIPlugin", name: "\x1b[2Jx" })),
    error: /expected 1 to 253 printable characters/,
  },
};

function serveAttack(path: string, attack: Attack): { close(): void } {
  const listener = Deno.listen({ transport: "unix", path });
  const peers: RawPeer[] = [];
  const serve = async (socket: Deno.UnixConn) => {
    const peer = createRawPeer(socket);
    peers.push(peer);
    await peer.takePreface();
    await peer.send(encodeSettings([]));
    const { streamId } = await peer.headers();
    await attack(peer, streamId);
  };
  const accept = async () => {
    for await (const socket of listener) serve(socket).catch(() => {});
  };
  accept();
  return {
    close() {
      listener.close();
      for (const peer of peers) {
        try {
          peer.close();
        } catch {
          // It had hung up.
        }
      }
    },
  };
}

Deno.test({
  name: "hostile plugins: malformed, huge, slow, dripping and never-ending answers harm nobody else",
  // What an attacker had under way when the test ends is his affair.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const directory = await Deno.makeTempDir({ prefix: "hostile-" });
    const servers = Object.entries(attacks).map(([name, { attack }]) =>
      serveAttack(`${directory}/${name}`, attack)
    );
    const leaving = new AbortController();
    let reports: readonly PluginReport[] = [];
    const registered: string[] = [];
    const before = Deno.memoryUsage().rss;
    const running = runRegistry({
      ...{ host: createHost(), directory, log: silentLog, deadlineMs, event: () => {} },
      takers: {
        CSIPlugin: {
          validate: () => {},
          register: ({ name }) => Promise.resolve(void registered.push(name)),
          deregister: () => {},
        },
      },
      report: (plugins) => reports = plugins,
      retry: { initialMs: 600_000, maxMs: 600_000 },
    }, leaving.signal);
    try {
      const report = (name: string) => reports.find((r) => r.socket === `${directory}/${name}`);
      await until("all are being asked", () => reports.length === servers.length);
      const began = performance.now();
      await using _good = await startRegisteringPlugin(`${directory}/good`, {
        type: "CSIPlugin",
        name: "good",
      });
      await until("the good one is registered", () => report("good")?.state === "registered");
      assert(performance.now() - began < deadlineMs, "it does not wait for the deadlines of others");
      for (const [name, { error }] of Object.entries(attacks)) {
        await until(`${name} has failed`, () => report(name)?.state === "failed");
        assertMatch(report(name)!.error, error, name);
        assert(report(name)!.error.length < 1100 && report(name)!.name.length < 300, name);
      }
      assertEquals(registered, ["good"]);
      const grown = (Deno.memoryUsage().rss - before) / 1024 / 1024;
      assert(grown < 96, `the process has grown by ${grown} MiB`);
    } finally {
      leaving.abort();
      for (const server of servers) server.close();
      await running;
      await Deno.remove(directory, { recursive: true });
    }
  },
});
