/**
 * Tells the API server the events of this node: one object for each thing that happens, its count grows. What cannot be
 * sent now waits, bounded, with the newest count of each. Source: client-go's tools/record. Not for: which events are worth
 * it (correlate.ts), nor for the agent's own list of them (status_store.ts).
 */
import { isoTime } from "../../model/iso_time.ts";
import { putNewest } from "../../lib/bounded_map.ts";
import type { Log } from "../../lib/log.ts";
import { createMailbox } from "../../lib/mailbox.ts";
import { pause } from "../../lib/pause.ts";
import { createTokenBucket } from "../../lib/token_bucket.ts";
import { errorText } from "../../model/errors.ts";
import { staticPodUid } from "../../model/hash.ts";
import { CONFIG_HASH, mirrorName } from "../../model/mirror.ts";
import type { AgentEvent } from "../../model/status_types.ts";
import type { StatusStore } from "../../status_store.ts";
import type { Api } from "../client/api.ts";
import { isPassing, isReason } from "../client/api_error.ts";
import { pauseBefore } from "../client/retry.ts";
import { type Correlated, createCorrelator } from "./correlate.ts";

export interface EventReport {
  api: Api;
  nodeName: string;
  store: StatusStore;
  /** Milliseconds since the epoch. */
  now(): number;
  log: Log;
  /** Requests per second, and at once. */
  rate: { qps: number; burst: number };
  /** In [0, 1). */
  random?: () => number;
}

const mostWaiting = 1000;
const mostKnown = 4096;
const backOff = { first: 1_000, most: 30_000 };

/** Never rejects; ends with the signal. */
export async function reportEvents(o: EventReport, signal: AbortSignal): Promise<void> {
  const { store, random = Math.random } = o;
  const correlator = createCorrelator();
  const waiting = new Map<string, AgentEvent>();
  const sent = new Map<string, string>();
  const mailbox = createMailbox<true>();
  const bucket = createTokenBucket(o.rate, () => performance.now());
  const take = (event: AgentEvent) => {
    if (event.object.kind !== "Pod" && event.object.kind !== "Node") return;
    const correlated = correlator.correlate(event, o.now());
    if (correlated !== undefined) wait(correlated);
  };
  const wait = ({ key, event }: Correlated) => {
    waiting.set(key, event);
    if (waiting.size > mostWaiting) waiting.delete(waiting.keys().next().value!);
    mailbox.nudge();
  };
  for (const event of store.events()) take(event);
  store.subscribe((change) => change.kind === "event" && take(change.event), signal);

  let attempt = 0;
  while (!signal.aborted) {
    const [next] = waiting;
    if (next === undefined) {
      await mailbox.wait(signal);
      continue;
    }
    await pause(bucket.take(), signal);
    const [key, event] = next;
    try {
      const name = await send(o, event, sent.get(key), signal);
      putNewest(sent, key, name, mostKnown);
      attempt = 0;
      if (waiting.get(key) === event) waiting.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      if (!isPassing(error)) {
        // A namespace that goes away, an object that nobody knows.
        o.log.debug("an event was refused", { reason: event.reason, error: errorText(error) });
        if (waiting.get(key) === event) waiting.delete(key);
        continue;
      }
      await pause(pauseBefore(attempt++, backOff, random()), signal);
    }
  }
}

/** Returns the name of the event's object. */
async function send(
  { api, nodeName, store }: EventReport,
  event: AgentEvent,
  known: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const body = eventObject(event, nodeName, store);
  const { name, namespace } = body.metadata;
  const path = `/api/v1/namespaces/${namespace}/events`;
  if (known !== undefined) {
    const { message, count, lastTimestamp } = body;
    try {
      await api.ask({
        method: "PATCH",
        path: `${path}/${known}`,
        body: { message, count, lastTimestamp },
        contentType: "application/strategic-merge-patch+json",
        signal,
      });
      return known;
    } catch (error) {
      // They live for an hour.
      if (!isReason(error, "NotFound")) throw error;
    }
  }
  await api.ask({ method: "POST", path, body, signal });
  return name;
}

let serial = 0;

function eventObject(event: AgentEvent, nodeName: string, store: StatusStore) {
  const { kind, namespace } = event.object;
  const { name, uid } = shownThere(event, nodeName, store);
  // As client-go has it: the object's name and a time that no other event has.
  const stamp = (BigInt(event.firstTimestamp) * 1_000_000n + BigInt(serial++ % 1_000_000)).toString(16);
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: {
      ...{ name: `${name}.${stamp}`, namespace: namespace ?? "default" },
      ...(event.annotations && { annotations: event.annotations }),
    },
    involvedObject: {
      apiVersion: "v1",
      kind,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      // kubectl finds a node's events by its name in the place of a uid, as the kubelet writes it.
      uid: uid ?? name,
      ...(event.fieldPath === undefined ? {} : { fieldPath: event.fieldPath }),
    },
    type: event.type,
    reason: event.reason,
    message: event.message.slice(0, longestMessage),
    source: { component: "kubelet", host: nodeName },
    count: event.count,
    firstTimestamp: isoTime(event.firstTimestamp),
    lastTimestamp: isoTime(event.lastTimestamp),
    reportingComponent: "kubelet",
    reportingInstance: nodeName,
  };
}

/** A static pod is known by its mirror's name there, and by what its mirror says in the place of the uid. */
function shownThere(
  { object: { kind, name, namespace = "default", uid } }: AgentEvent,
  nodeName: string,
  store: StatusStore,
): { name: string; uid: string | undefined } {
  if (kind !== "Pod" || uid !== staticPodUid(nodeName, namespace, name)) return { name, uid };
  const pod = store.pods().find(({ metadata }) => metadata?.uid === uid);
  return { name: mirrorName(name, nodeName), uid: pod?.metadata?.annotations?.[CONFIG_HASH] ?? uid };
}

/** What events.k8s.io takes. Source: k8s.io/kubernetes/pkg/apis/core/validation, NoteLengthLimit. */
const longestMessage = 1024;
