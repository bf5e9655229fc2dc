/**
 * The life of one registration socket, from its appearance to its end: asked, validated, registered, told, watched; asked
 * again with growing pauses when something fails. Not for: finding sockets.
 */
import { aborted, pause } from "../../agent/lib/pause.ts";
import { AgentError, errorText } from "../../agent/model/errors.ts";
import type { PluginReport } from "../../agent/model/plugin_report.ts";
import type { FoundPlugin, PluginTakers } from "../../agent/plugin_ports.ts";
import type { FoundSocket } from "./find.ts";
import type { Claimant, Names } from "./names.ts";
import { type Introduction, openPeer, parseIntroduction, type Peer, refusal } from "./peer.ts";

export interface KeeperOptions {
  takers: PluginTakers;
  names: Names;
  /** Pauses between attempts; they double. */
  retry: { initialMs: number; maxMs: number };
  /** Of the question who it is, in milliseconds. */
  deadlineMs?: number;
  now(): number;
  /** Told of each change; the report is replaced, never changed. */
  show(report: PluginReport): void;
}

/** A taker may ask the plugin several things, each with a deadline of its own. */
const registerMs = 120_000;
/** A registered plugin that does not answer so often in a row is no longer registered, as with the kubelet. */
const lostAfter = 2;
const maxError = 1024;

const plainName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

const shortText = (error: unknown): string => {
  const text = errorText(error);
  return text.length > maxError ? text.slice(0, maxError) + "…" : text;
};

/**
 * Keeps the plugin registered until `gone` aborts, and deregisters it then. `leave` ends it without: the agent leaves,
 * the plugin stays.
 */
export async function keepPlugin(
  socket: FoundSocket,
  options: KeeperOptions,
  gone: AbortSignal,
  leave: AbortSignal,
): Promise<void> {
  const keeper = new Keeper(socket, options, AbortSignal.any([gone, leave]));
  await keeper.run();
  if (gone.aborted) await keeper.release();
}

class Keeper implements Claimant {
  readonly bornMs: number;
  readonly #socket: FoundSocket;
  readonly #o: KeeperOptions;
  readonly #ended: AbortSignal;
  #report: PluginReport;
  /** What its taker knows of it. */
  #held: FoundPlugin | undefined;
  /** Aborts when it is worth asking again. */
  #turned = new AbortController();
  #failures = 0;

  constructor(socket: FoundSocket, options: KeeperOptions, ended: AbortSignal) {
    this.bornMs = socket.bornMs;
    this.#socket = socket;
    this.#o = options;
    this.#ended = ended;
    this.#report = {
      ...{ name: plainName(socket.path), type: "", state: "registering", socket: socket.path },
      ...{ endpoint: "", versions: [], error: "", since: options.now() },
    };
  }

  displaced(): void {
    this.#held = undefined;
    this.#show({ state: "replaced", error: "" });
  }

  vacated(): void {
    this.#turned.abort();
  }

  async run(): Promise<void> {
    this.#show({});
    while (!this.#ended.aborted) {
      const again = await this.#attempt();
      if (!again) return await aborted(this.#ended);
      const { initialMs, maxMs } = this.#o.retry;
      const doublings = Math.min(Math.max(this.#failures - 1, 0), 30);
      await pause(Math.min(maxMs, initialMs * 2 ** doublings), this.#ended);
    }
  }

  /** Takes what its taker has of it away, unless a newer one has its name. */
  async release(): Promise<void> {
    const plugin = this.#held;
    this.#held = undefined;
    await this.#o.names.release(nameKey(plugin ?? this.#report), this, () => {
      if (plugin !== undefined) this.#o.takers[plugin.kind]?.deregister(plugin);
    });
  }

  #show(change: Partial<PluginReport>): void {
    const same = (change.state ?? this.#report.state) === this.#report.state;
    this.#report = { ...this.#report, ...change, since: same ? this.#report.since : this.#o.now() };
    this.#o.show(this.#report);
  }

  /** False when asking again cannot help. */
  async #attempt(): Promise<boolean> {
    let peer: Peer | undefined;
    try {
      peer = openPeer(this.#socket.path, this.#o.deadlineMs);
      await this.#visit(peer);
      return true;
    } catch (error) {
      if (this.#ended.aborted) return true;
      this.#failures++;
      if (this.#held !== undefined && this.#failures >= lostAfter) await this.release();
      this.#show({ ...this.#held === undefined && { state: "failed" }, error: shortText(error) });
      return !(error instanceof AgentError) || error.retry;
    } finally {
      peer?.close();
    }
  }

  /** Returns when the connection has ended or the name is free; throws what is wrong. */
  async #visit(peer: Peer): Promise<void> {
    this.#turned = new AbortController();
    const said = await peer.introduction(this.#ended);
    try {
      const plugin = parseIntroduction(said, this.#socket.path);
      const known = this.#held !== undefined && isSame(this.#held, plugin);
      if (!known) await this.#replace(said, plugin, peer);
      else this.#show({ error: "" });
    } catch (error) {
      this.#show(said);
      if (!this.#ended.aborted) await peer.notify(shortText(error), this.#ended).catch(() => {});
      throw error;
    }
    this.#failures = 0;
    await peer.lost(AbortSignal.any([this.#ended, this.#turned.signal]));
  }

  async #replace(said: Introduction, plugin: FoundPlugin, peer: Peer): Promise<void> {
    if (this.#held !== undefined) await this.release();
    this.#show(said);
    const state = await this.#register(plugin) ? "registered" : "replaced";
    this.#show({ state, error: "" });
    await peer.notify(undefined, this.#ended).catch((error) => {
      if (this.#ended.aborted) return;
      this.#show({ error: `it could not be told that it is registered: ${shortText(error)}` });
    });
  }

  /** False when a newer plugin has the name. */
  #register(plugin: FoundPlugin): Promise<boolean> {
    const taker = this.#o.takers[plugin.kind];
    if (taker === undefined) {
      throw refusal(`plugins of type ${plugin.kind} are not supported yet`, { retry: false });
    }
    taker.validate(plugin);
    return this.#o.names.claim(nameKey(plugin), this, async () => {
      if (this.#ended.aborted) return;
      await taker.register(plugin, AbortSignal.any([this.#ended, AbortSignal.timeout(registerMs)]));
      this.#held = plugin;
    });
  }
}

const nameKey = (of: FoundPlugin | PluginReport): string => `${"kind" in of ? of.kind : of.type} ${of.name}`;

const isSame = (a: FoundPlugin, b: FoundPlugin): boolean =>
  a.kind === b.kind && a.name === b.name && a.endpoint === b.endpoint &&
  a.versions.join("\n") === b.versions.join("\n");
