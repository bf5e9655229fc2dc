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
  const usable = interfaces.filter(isUsable);
  const preferred = defaultInterface(routes);
  const ofDefault = usable.filter((a) => a.interface === preferred);
  const candidates = ofDefault.length > 0 ? ofDefault : usable.slice(0, 1);
  const families = ["IPv4", "IPv6"].flatMap((family) => candidates.find((a) => a.family === family) ?? []);
  return families.length > 0 ? families.map((a) => a.address) : ["127.0.0.1"];
}
