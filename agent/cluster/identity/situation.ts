/**
 * How this node stands with its cluster as somebody: which certificate it has, and what is to be done for one. Pure. Source:
 * the kubelet's bootstrap (pkg/kubelet/certificate/bootstrap) and client-go's util/certificate. Not for: doing it
 * (identity.ts).
 */
import type { Kubeconfig } from "../client/kubeconfig.ts";
import { JoinFailure, newToken } from "../join/join_failure.ts";
import { type Life, renewalOf } from "../certificates/renewal.ts";

/** A file of credentials as it was read: what it says, or why it cannot be used; neither: it is not there. */
export interface ReadKubeconfig {
  kubeconfig?: Kubeconfig;
  wrong?: string;
}

export interface IdentityFacts {
  nodeName: string;
  /** Paths, for messages; `bootstrap` is "" when none is configured. */
  paths: { kubeconfig: string; bootstrap: string };
  kubeconfig: ReadKubeconfig;
  bootstrap: ReadKubeconfig;
  /** In the directory of certificates. */
  own?: Life & { commonName: string };
  /** What the kubeconfig names, which may be the same. */
  named?: Life;
  /** Whether certificates are renewed. */
  rotates: boolean;
}

export interface Situation {
  act:
    /** Nothing, for `ms`. */
    | { kind: "wait"; ms: number }
    /** `ms` are left. */
    | { kind: "renew"; ms: number }
    /** Ask for a certificate with the bootstrap credentials. */
    | { kind: "enrol" }
    /** There is a certificate; only the kubeconfig that tells of it is missing. */
    | { kind: "write" };
  /** Which pair the node shows, when it has a kubeconfig. */
  shows: "own" | "named";
  trouble?: Trouble;
}

/** `error`: nothing can be asked of the cluster any more. */
export interface Trouble {
  severity: "error" | "warning";
  failure: JoinFailure;
}

/** Clocks are set at any time; files tell of themselves. */
const lookMs = 5 * 60_000;

/** @param random in [0, 1), drawn once for each certificate. */
export function situationOf(facts: IdentityFacts, now: number, random: number): Situation {
  const { kubeconfig, bootstrap, own, named } = facts;
  const usable = own?.commonName === `system:node:${facts.nodeName}` ? own : undefined;
  const shows = usable !== undefined && usable.notAfter >= (named?.notAfter ?? 0) ? "own" : "named";
  const life = shows === "own" ? usable : named;
  const canEnrol = bootstrap.kubeconfig !== undefined;
  if (kubeconfig.kubeconfig === undefined) {
    const serves = usable !== undefined && renewalOf(usable, now, random).state === "wait";
    if (canEnrol) return { act: { kind: serves ? "write" : "enrol" }, shows };
    return { act: { kind: "wait", ms: lookMs }, shows, trouble: strange(facts) };
  }
  // A token, or what a plugin answers: it takes care of itself.
  if (life === undefined) return { act: { kind: "wait", ms: lookMs }, shows: "named" };
  const renewal = renewalOf(life, now, random);
  switch (renewal.state) {
    case "wait":
      return { act: { kind: "wait", ms: renewal.ms }, shows };
    case "early":
      return { act: { kind: "wait", ms: Math.min(renewal.ms, lookMs) }, shows, trouble: early(life, now) };
    case "due":
      return facts.rotates
        ? { act: { kind: "renew", ms: life.notAfter - now }, shows }
        : { act: { kind: "wait", ms: lookMs }, shows, trouble: unrenewed(life) };
    case "expired":
      return canEnrol
        ? { act: { kind: "enrol" }, shows }
        : { act: { kind: "wait", ms: lookMs }, shows, trouble: ended(facts, life) };
  }
}

const date = (ms: number) => new Date(ms).toISOString();

function strange({ paths, kubeconfig, bootstrap }: IdentityFacts): Trouble {
  if (kubeconfig.wrong !== undefined) {
    return failed("error", `the kubeconfig cannot be used: ${kubeconfig.wrong}`, `mend it, or ${newToken}`);
  }
  const neither = paths.bootstrap === "" || bootstrap.wrong !== undefined
    ? ""
    : `; ${paths.bootstrap} does not exist either`;
  return failed(
    "error",
    `this node has not joined its cluster${neither}${noWay({ paths, bootstrap })}`,
    newToken,
  );
}

const noWay = ({ paths, bootstrap }: Pick<IdentityFacts, "paths" | "bootstrap">) =>
  bootstrap.wrong === undefined ? "" : `; ${paths.bootstrap} cannot be used: ${bootstrap.wrong}`;

function ended(facts: IdentityFacts, life: Life): Trouble {
  return failed(
    "error",
    `the node's client certificate ended at ${date(life.notAfter)}${noWay(facts)}`,
    `${newToken}; running pods stay`,
  );
}

const unrenewed = ({ notAfter }: Life) =>
  failed(
    "warning",
    `the node's client certificate ends at ${date(notAfter)}, and rotateCertificates is false`,
    "set it to true, or replace the certificate",
  );

const early = ({ notBefore }: Life, now: number) =>
  failed(
    "warning",
    `this clock says ${date(now)}, before the node's client certificate begins (${date(notBefore)})`,
    "set the clock",
  );

function failed(severity: "error" | "warning", message: string, remedy: string): Trouble {
  return { severity, failure: new JoinFailure(message, remedy, { retry: true }) };
}
