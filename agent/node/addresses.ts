/**
 * Which addresses the node shows: those configured, else the ones of the interface that the default route uses.
 * Source: the kubelet's node address rules without a cloud provider. Pure. Not for: reading interfaces.
 */

export interface InterfaceAddress {
  interface: string;
  family: "IPv4" | "IPv6";
  address: string;
}

/** The interface of the default route with the lowest metric, from the text of /proc/net/route. */
export function defaultInterface(routes: string): string | undefined {
  const rows = routes.split("\n").slice(1).map((line) => line.trim().split(/\s+/));
  const defaults = rows.filter((r) => r[1] === "00000000" && r[7] === "00000000");
  return defaults.sort((a, b) => Number(a[6]) - Number(b[6]))[0]?.[0];
}

const isUsable = (a: InterfaceAddress) =>
  a.interface !== "lo" && !a.address.startsWith("127.") && a.address !== "::1" && !/^fe80:/i.test(a.address);

/** Primary first; at most one of each family. A machine without any network is its loopback. */
export function nodeAddresses(
  configured: readonly string[],
  interfaces: readonly InterfaceAddress[],
  routes: string,
): string[] {
  if (configured.length > 0) return [...configured];
  const ofDefault = onDefault(interfaces, routes);
  const found = ofEachFamily(ofDefault.length > 0 ? ofDefault : interfaces.filter(isUsable).slice(0, 1));
  return found.length > 0 ? found : ["127.0.0.1"];
}

function onDefault(interfaces: readonly InterfaceAddress[], routes: string): InterfaceAddress[] {
  const preferred = defaultInterface(routes);
  return interfaces.filter((a) => isUsable(a) && a.interface === preferred);
}

const ofEachFamily = (addresses: readonly InterfaceAddress[]): string[] =>
  ["IPv4", "IPv6"].flatMap((family) => addresses.find((a) => a.family === family)?.address ?? []);

/**
 * Of a node that had `before`: those stay as long as the interface of the default route has them, and while there is no such
 * route, for a cable that is out makes no other node.
 */
export function followAddresses(
  before: readonly string[],
  configured: readonly string[],
  interfaces: readonly InterfaceAddress[],
  routes: string,
): string[] {
  const now = onDefault(interfaces, routes);
  const has = (address: string) => now.some((a) => a.address === address);
  const stays = configured.length > 0 || now.length === 0 ||
    (before.every(has) && before.length === ofEachFamily(now).length);
  return stays ? [...before] : ofEachFamily(now);
}
