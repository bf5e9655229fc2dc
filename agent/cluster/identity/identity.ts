/**
 * Who this node is to its API server, for as long as the agent runs: credentials from the kubeconfig, a client certificate
 * that is renewed in time, and one that is asked for by the bootstrap credentials where there is none that serves. Files
 * that others replace count at once. Source: the kubelet's --kubeconfig and --bootstrap-kubeconfig. Not for: joining by a
 * token (join/).
 */
import { dirname } from "@std/path";
import type { Log } from "../../lib/log.ts";
import { type Hints, listenForHints } from "../../lib/hints.ts";
import { errorText, type Problem } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { createCertificateFiles } from "../certificates/certificate_files.ts";
import { type Api, createApi } from "../client/api.ts";
import { createConnection, distrustPublicAuthorities } from "../client/client.ts";
import { createCredentials, type FileCredentials } from "../client/credentials.ts";
import type { Kubeconfig } from "../client/kubeconfig.ts";
import { createLateApi } from "../client/late_api.ts";
import { pauseBefore } from "../client/retry.ts";
import { trustOf } from "../client/trust.ts";
import { JoinFailure } from "../join/join_failure.ts";
import {
  askByBootstrap,
  askForCertificate,
  ordinaryPatience,
  whyRefused,
  writeKubeconfig,
} from "./asking.ts";
import { readIdentityFacts } from "./identity_facts.ts";
import { type IdentityFacts, type Situation, situationOf, type Trouble } from "./situation.ts";

export interface IdentityPlaces {
  kubeconfig: string;
  /** "" is none. */
  bootstrapKubeconfig: string;
  certDir: string;
}

export interface IdentityOptions {
  host: Host;
  log: Log;
  nodeName: string;
  places: IdentityPlaces;
  /** Whether the certificate is renewed. */
  rotates: boolean;
  /** What keeps the node from its cluster, with what to do; none when all is well. */
  report(problems: Problem[]): void;
  /** In [0, 1). */
  random?: () => number;
}

export interface NodeIdentity {
  /** As the node; requests fail and watches wait while it has no identity. */
  api: Api;
  /** What names the API server and its authority, where that is known. */
  kubeconfig(): Kubeconfig | undefined;
  /** Keeps the identity alive until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

interface Look {
  facts: IdentityFacts;
  situation: Situation;
}

const backOff = { first: 1_000, most: 60_000 };

/** What is there already is used when this resolves. */
export async function createNodeIdentity(o: IdentityOptions): Promise<NodeIdentity> {
  distrustPublicAuthorities();
  const { host, log, nodeName, places, random = Math.random } = o;
  const files = createCertificateFiles(host, places.certDir, "kubelet-client");
  const client = createClient(host, files.path);
  const tell = createTelling(o);
  const draw = drawnOnce(random);

  async function look(): Promise<Look> {
    const paths = { kubeconfig: places.kubeconfig, bootstrap: places.bootstrapKubeconfig };
    const facts = await readIdentityFacts(host, files, { nodeName, paths, rotates: o.rotates });
    return { facts, situation: situationOf(facts, host.now(), draw(facts)) };
  }

  async function act({ facts, situation: { act: todo } }: Look, signal: AbortSignal): Promise<void> {
    const asking = { host, files, nodeName, log };
    const bootstrap = facts.bootstrap.kubeconfig!;
    if (todo.kind === "renew") {
      const renewing = { ...asking, patience: Math.min(ordinaryPatience, todo.ms), progress: () => {} };
      await askForCertificate(renewing, client.api, signal);
    } else {
      if (todo.kind === "enrol") {
        await askByBootstrap({ ...asking, progress: tell.progress }, bootstrap, signal);
      }
      await writeKubeconfig(host, places.kubeconfig, bootstrap, files.path);
    }
    log.info("the node has a new client certificate");
  }

  /** Until the files say something else, the time is over, or a signal aborts. */
  async function untilChange(found: Look, ms: number, hints: Hints, signal: AbortSignal): Promise<void> {
    const end = host.monotonic() + ms;
    while (!signal.aborted && host.monotonic() < end) {
      await hints.within(end - host.monotonic(), signal);
      if (!signal.aborted && isOther(found, await look())) return;
    }
  }

  /** Ends early, and well, when files change that it goes by: somebody may have joined this node by hand. */
  async function actWhileSo(found: Look, hints: Hints, signal: AbortSignal): Promise<void> {
    const leave = new AbortController();
    const ending = AbortSignal.any([signal, leave.signal]);
    const acting = act(found, ending).finally(() => leave.abort());
    acting.catch(() => {});
    await untilChange(found, Infinity, hints, ending);
    const changed = !leave.signal.aborted;
    leave.abort();
    await acting.catch((error) => {
      if (!changed) throw error;
    });
  }

  async function turn(hints: Hints, attempt: number, signal: AbortSignal): Promise<number> {
    const found = await look();
    try {
      await client.use(found);
      const { act: next, trouble } = found.situation;
      if (next.kind !== "wait") await actWhileSo(found, hints, signal);
      else {
        tell.trouble(trouble);
        await untilChange(found, next.ms, hints, signal);
      }
      return 0;
    } catch (error) {
      if (signal.aborted) return 0;
      tell.trouble(whyRefused(error, found.situation.act.kind === "renew"));
      await untilChange(found, pauseBefore(attempt, backOff, random()), hints, signal);
      return attempt + 1;
    }
  }

  await client.use(await look()).catch(() => {}); // which is told when it runs
  return {
    api: client.api,
    kubeconfig: client.kubeconfig,
    async run(signal) {
      const hints = listenForHints(watchingHost(host, places), () => places.certDir, signal);
      for (let attempt = 0; !signal.aborted;) attempt = await turn(hints, attempt, signal);
      await hints.ended;
    },
  };
}

const isOther = (a: Look, b: Look): boolean => JSON.stringify(a.facts) !== JSON.stringify(b.facts);

/** All files lie in two directories, or three. */
function watchingHost(host: Host, { kubeconfig, bootstrapKubeconfig, certDir }: IdentityPlaces) {
  const paths = [kubeconfig, bootstrapKubeconfig].filter((path) => path !== "");
  const only = (name: string) => paths.some((path) => path.endsWith(`/${name}`));
  const directories = [...new Set(paths.map(dirname))].filter((directory) => directory !== certDir);
  const watched = [...directories.map((directory) => ({ directory, only })), { directory: certDir }];
  return {
    sleep: host.sleep,
    watch: (_directory: string, signal: AbortSignal) => host.watchPlaces(watched, signal),
  };
}

/** The Api by what was found. */
function createClient(host: Host, ownPair: string) {
  const late = createLateApi();
  let used: { text: string; kubeconfig: Kubeconfig; credentials: FileCredentials } | undefined;
  const lacks = (why: string) => {
    used = undefined;
    late.lacks(why);
  };
  return {
    api: late,
    kubeconfig: () => used?.kubeconfig,
    async use({ facts, situation }: Look): Promise<void> {
      const found = facts.kubeconfig.kubeconfig;
      if (found === undefined) {
        return lacks(situation.trouble?.failure.message ?? "this node has no certificate of its cluster yet");
      }
      const own = { file: ownPair };
      const kubeconfig = situation.shows === "own" ? { ...found, certificate: own, key: own } : found;
      const trust = await trustOf(host, kubeconfig).catch((error) => {
        lacks(errorText(error));
        throw error;
      });
      const text = JSON.stringify([trust, kubeconfig]);
      if (used?.text === text) return used.credentials.reload();
      const credentials = createCredentials(host, kubeconfig);
      used = { text, kubeconfig, credentials };
      late.use(createApi({ connection: createConnection(trust), credentials }));
    },
  };
}

/** Tells what is in the way when that changes. */
function createTelling({ log, places, report }: IdentityOptions) {
  let told = "[]";
  const trouble = (trouble: Trouble | undefined) => {
    const problems: Problem[] = trouble === undefined ? [] : [{
      severity: trouble.severity,
      file: places.kubeconfig,
      message: `${trouble.failure.message}; ${trouble.failure.remedy}`,
    }];
    const text = JSON.stringify(problems);
    if (text === told) return;
    told = text;
    report(problems);
    if (trouble !== undefined) log.warn(trouble.failure.message, { remedy: trouble.failure.remedy });
  };
  return {
    trouble,
    progress: (line: string) =>
      trouble({ severity: "warning", failure: new JoinFailure(line, "it goes on by itself") }),
  };
}

/** A number for each certificate: drawn anew at each look, the time of its renewal would move. */
function drawnOnce(random: () => number): (facts: IdentityFacts) => number {
  let drawn: { of: string; number: number } | undefined;
  return ({ own, named }) => {
    const of = JSON.stringify([own, named]);
    if (drawn?.of !== of) drawn = { of, number: random() };
    return drawn.number;
  };
}
