/**
 * A network of nodes on one machine: a bridge, and for each node a network namespace with one link to it, which can be cut.
 * Gone without a trace afterwards. Not for: the network of pods.
 */
import { run } from "./containerd.ts";

export interface NodeNetwork extends AsyncDisposable {
  /** Of the machine, as nodes see it. */
  address: string;
  /** Name of a node's network namespace. */
  namespaceOf(node: string): string;
  /** Packets vanish from now on, in both directions. */
  cut(node: string): Promise<void>;
  mend(node: string): Promise<void>;
}

/** `nodes` are short names. */
export async function createNodeNetwork(nodes: readonly string[]): Promise<NodeNetwork> {
  await using stack = new AsyncDisposableStack();
  const id = crypto.randomUUID().slice(0, 4);
  const bridge = `agb${id}`;
  // A range of its own: two runs on one machine must not meet.
  const range = `10.${200 + Math.floor(Math.random() * 50)}.${Math.floor(Math.random() * 250)}`;
  const ip = (...args: string[]) => run("ip", ...args);
  const namespaceOf = (node: string) => `agn${id}${node}`;
  const linkOf = (node: string) => `agv${id}${nodes.indexOf(node)}`;
  await ip("link", "add", bridge, "type", "bridge");
  stack.defer(async () => void await ip("link", "delete", bridge));
  await ip("address", "add", `${range}.1/24`, "dev", bridge);
  await ip("link", "set", bridge, "up");
  for (const [n, node] of nodes.entries()) {
    const [namespace, link] = [namespaceOf(node), linkOf(node)];
    await ip("netns", "add", namespace);
    // Takes the link with it.
    stack.defer(async () => void await ip("netns", "delete", namespace));
    await ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    await ip("link", "set", link, "master", bridge, "up");
    const inside = (...args: string[]) => ip("-n", namespace, ...args);
    await inside("link", "set", "lo", "up");
    await inside("address", "add", `${range}.${n + 10}/24`, "dev", "eth0");
    await inside("link", "set", "eth0", "up");
    await inside("route", "add", "default", "via", `${range}.1`);
  }
  const kept = stack.move();
  return {
    address: `${range}.1`,
    namespaceOf,
    cut: async (node) => void await ip("link", "set", linkOf(node), "nomaster"),
    mend: async (node) => void await ip("link", "set", linkOf(node), "master", bridge),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
