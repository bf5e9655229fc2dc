/**
 * Ranges of the host's ids for pods with users of their own (hostUsers: false): where they may lie, and which of them is
 * free. Users and groups share one mapping. Pure. Not for: who has which (the sandboxes know).
 *
 * Source: kubernetes pkg/kubelet/userns and pkg/kubelet/kubelet_pods.go (getKubeletMappings).
 */

/** Ids of the host: `first`, and so many from there. The pod's root is the first of them. */
export interface IdRange {
  first: number;
  length: number;
}

/** What pods may have, in pieces of `perPod`. */
export interface IdPool extends IdRange {
  perPod: number;
}

/** Ids below are the host's own. */
const unit = 65_536;

/**
 * What /etc/subuid and /etc/subgid leave to the user `kubelet`, or, where they do not speak of it, the ids above those of
 * the host, for as many pods as the node takes.
 */
export function idPool(
  files: { subuid: string | undefined; subgid: string | undefined },
  perPod: number,
  maxPods: number,
): IdPool | { error: string } {
  const [users, groups] = [subordinates(files.subuid), subordinates(files.subgid)];
  if (users.length + groups.length === 0) return { first: perPod, length: perPod * maxPods, perPod };
  const wrong = (what: string) => ({
    error: `the ids of user kubelet in /etc/subuid and /etc/subgid ${what}`,
  });
  const [range] = users;
  if (range === undefined || users.length > 1 || groups.length > 1) return wrong("are not one range in each");
  if (range.first !== groups[0]?.first || range.length !== groups[0].length) return wrong("differ");
  if (range.first < unit || range.first % perPod !== 0 || range.length % perPod !== 0) {
    return wrong(`begin at ${range.first} and are ${range.length}: expected multiples of ${perPod}`);
  }
  if (range.length / perPod < maxPods) {
    return wrong(`suffice for ${range.length / perPod} pods: expected enough for maxPods, ${maxPods}`);
  }
  return { ...range, perPod };
}

/** Lines `kubelet:FIRST:LENGTH`. */
function subordinates(text = ""): IdRange[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*kubelet:(\d+):(\d+)\s*$/.exec(line);
    return match === null ? [] : [{ first: Number(match[1]), length: Number(match[2]) }];
  });
}

const overlap = (a: IdRange, b: IdRange) => a.first < b.first + b.length && b.first < a.first + a.length;

/** The lowest piece that overlaps none of these; `undefined` when all are taken. */
export function freeRange(pool: IdPool, taken: readonly IdRange[]): IdRange | undefined {
  for (let first = pool.first; first + pool.perPod <= pool.first + pool.length; first += pool.perPod) {
    const range = { first, length: pool.perPod };
    if (!taken.some((t) => overlap(t, range))) return range;
  }
  return undefined;
}

/** `131072:65536`, as a sandbox bears it. */
export const idRangeText = ({ first, length }: IdRange): string => `${first}:${length}`;

export function parseIdRange(text: string | undefined): IdRange | undefined {
  const match = /^(\d+):(\d+)$/.exec(text ?? "");
  return match === null ? undefined : { first: Number(match[1]), length: Number(match[2]) };
}
