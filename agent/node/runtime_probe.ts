/**
 * Which container runtime the agent talks to: the configured one, else one that answers at a usual place, else one of
 * its own. Not for: starting it (plugins/containerd), or the calls themselves.
 */

/** `endpoint` is a path. */
export type RuntimeChoice = { kind: "external"; endpoint: string } | { kind: "managed" };

export interface RuntimeFacts {
  /** `--container-runtime-endpoint`, "" when not given; with or without `unix://`. */
  configured: string;
  /** Path of the socket of a runtime of the agent's own: named or found, it is that one. */
  managedSocket: string;
  /** Paths that are not the defaults: such an instance shares nothing with the machine. */
  privateInstance: boolean;
  /** A runtime of the agent's own was used here before: its containers are found only there. */
  managedBefore: boolean;
}

/** containerd, CRI-O, Docker's adapter, k3s. */
export const USUAL_SOCKETS: readonly string[] = [
  "/run/containerd/containerd.sock",
  "/run/crio/crio.sock",
  "/var/run/cri-dockerd.sock",
  "/run/k3s/containerd/containerd.sock",
];

/** A choice that needs no look at the sockets, or `undefined`. */
export function chooseByFacts(facts: RuntimeFacts): RuntimeChoice | undefined {
  if (facts.configured !== "") {
    const endpoint = facts.configured.replace(/^unix:(\/\/)?/, "");
    return endpoint === facts.managedSocket ? { kind: "managed" } : { kind: "external", endpoint };
  }
  return facts.privateInstance || facts.managedBefore ? { kind: "managed" } : undefined;
}

const ANSWER_MS = 1000;

/**
 * All usual sockets are asked at once; the first in their order that answers wins.
 * @param answers whether CRI answers at the socket before the signal aborts; must not throw
 */
export async function chooseEndpoint(
  facts: RuntimeFacts,
  answers: (socket: string, signal: AbortSignal) => Promise<boolean>,
  signal: AbortSignal,
  sockets: readonly string[] = USUAL_SOCKETS,
): Promise<RuntimeChoice> {
  const known = chooseByFacts(facts);
  if (known !== undefined) return known;
  signal.throwIfAborted();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
  const answered = await Promise.all(sockets.map((socket) => answers(socket, limit)));
  signal.throwIfAborted();
  const endpoint = sockets.find((_, i) => answered[i]);
  return endpoint === undefined ? { kind: "managed" } : { kind: "external", endpoint };
}
