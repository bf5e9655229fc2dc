/**
 * Gives back what sandboxes that are gone had attached: at the start, and when something has ended. Not for: deciding
 * what has leaked (leaks.ts).
 */
import type { CniNetwork } from "../../agent/model/cni_config.ts";
import { errorText } from "../../agent/model/errors.ts";
import type { Log } from "../../agent/lib/log.ts";
import { createMailbox } from "../../agent/lib/mailbox.ts";
import { pause } from "../../agent/lib/pause.ts";
import type { Host } from "../../agent/ports.ts";
import { type Attachment, cacheName } from "./cache.ts";
import { readLeases } from "./host_local.ts";
import { leakedAttachments, leakedLeases, LOOPBACK_NETWORK } from "./leaks.ts";
import type { Cni } from "./mod.ts";
import { withLiveNamespace } from "./pod_networks.ts";

export interface CollectOptions {
  cni: Cni;
  host: Pick<Host, "list" | "readText" | "stat" | "now">;
  log: Log;
  /** Name of this agent among those that share the record. */
  owner: string;
  /** Names of networks that this agent wrote for its runtime alone. */
  written: ReadonlySet<string>;
  /** Ids of all sandboxes of the runtime, whoever made them. */
  sandboxes(signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Between two looks, in ms; absent: 5 s. */
  calmMs?: number;
}

export interface LeakCollector {
  /** Something has ended: look again soon. */
  nudge(): void;
  /** Looks at once and then when it is told to. Throws when the runtime cannot be asked. */
  run(signal: AbortSignal): Promise<void>;
}

/** So often plugins may refuse before only the address is given back and the record goes. */
const tries = 3;
const calmMs = 5_000;
const retryMs = { first: 60_000, most: 3_600_000 };

export function createLeakCollector(o: CollectOptions): LeakCollector {
  const mailbox = createMailbox<never>();
  const refusals = new Map<string, number>();

  const giveBack = async (leak: Attachment, signal: AbortSignal): Promise<boolean> => {
    const key = cacheName(leak.network.name, leak);
    try {
      const attachment = await withLiveNamespace(o.host, leak);
      const count = refusals.get(key) ?? 0;
      await (count >= tries && attachment.netns === ""
        ? o.cni.abandon(attachment, signal)
        : o.cni.del(leak.network, attachment, signal));
      refusals.delete(key);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      refusals.set(key, (refusals.get(key) ?? 0) + 1);
      o.log.warn("cannot detach what a pod that is gone left", { attachment: key, error: errorText(error) });
      return false;
    }
  };

  /** False: something could not be given back. */
  const collect = async (signal: AbortSignal): Promise<boolean> => {
    const leaks = await findLeaks(o, signal);
    let released = 0;
    for (const leak of leaks) if (await giveBack(leak, signal)) released++;
    if (released > 0) o.log.info("detached what pods that are gone had left", { attachments: released });
    return released === leaks.length;
  };

  return {
    nudge: () => mailbox.nudge(),
    async run(signal) {
      let delay = retryMs.first;
      while (!signal.aborted) {
        const done = await collect(signal);
        delay = done ? retryMs.first : Math.min(delay * 2, retryMs.most);
        await mailbox.wait(signal, done ? undefined : performance.now() + delay);
        await pause(o.calmMs ?? calmMs, signal);
      }
    },
  };
}

async function findLeaks(o: CollectOptions, signal: AbortSignal): Promise<Attachment[]> {
  const { cni, host } = o;
  const [{ networks }, attachments] = await Promise.all([cni.networks(), cni.attachments()]);
  const ours = networks.map(({ network }) => network).filter(({ name }) => o.written.has(name));
  const leases = (await Promise.all(ours.map((network) => readLeases(host, network)))).flat();
  if (attachments.length === 0 && leases.length === 0) return [];
  const paths = [...new Set(attachments.map((a) => a.netns))];
  const there = await Promise.all(
    paths.map(async (path) => path !== "" && await host.stat(path) !== undefined),
  );
  const facts = {
    owner: o.owner,
    sandboxes: await o.sandboxes(signal),
    namespaces: new Set(paths.filter((_, i) => there[i])),
    networks: new Set([...networks.map(({ network }) => network.name), LOOPBACK_NETWORK]),
    now: host.now(),
  };
  const unrecorded = leakedLeases(leases, attachments, facts).map(toAttachment);
  return [...leakedAttachments(attachments, facts), ...unrecorded];
}

const toAttachment = (
  { network, containerId, ifname }: { network: CniNetwork; containerId: string; ifname: string },
): Attachment => ({ network, containerId, ifname, netns: "", args: [], capabilityArgs: {} });
