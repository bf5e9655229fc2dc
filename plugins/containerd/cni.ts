/**
 * The default pod network, as values: a bridge conflist, the choice of a pod CIDR that nothing else uses, the bridge's
 * name. Not for: writing files, running plugins.
 */

/** What the default network and containerd's loopback need. `firewall` is used where the host drops forwarding. */
export const REQUIRED_CNI_PLUGINS = ["bridge", "host-local", "portmap", "loopback"] as const;

/** An IPv4 block: `address` is its first address as an unsigned 32-bit number. */
export interface Block {
  address: number;
  prefixLength: number;
}

/** Reads `10.85.0.0/16`; `undefined` when it is not an IPv4 CIDR. Host bits are cleared. */
export function parseCIDR(text: string): Block | undefined {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
  if (m === null) return undefined;
  const [a, b, c, d, length] = m.slice(1).map(Number) as [number, number, number, number, number];
  if ([a, b, c, d].some((octet) => octet > 255) || length > 32) return undefined;
  const address = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  return { address: (address & mask(length)) >>> 0, prefixLength: length };
}

function mask(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
}

export function formatCIDR({ address, prefixLength }: Block): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".") + `/${prefixLength}`;
}

/** Whether two blocks share an address. */
export function overlaps(a: Block, b: Block): boolean {
  const m = mask(Math.min(a.prefixLength, b.prefixLength));
  return (a.address & m) === (b.address & m);
}

/** Destinations in the text of /proc/net/route (little-endian hex, as proc(5) has it), without the default route. */
export function parseRoutes(text: string): Block[] {
  const blocks: Block[] = [];
  for (const line of text.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [destination, netmask] = [fields[1], fields[7]].map(littleEndianHex);
    if (destination === undefined || netmask === undefined || netmask === 0) continue;
    let prefixLength = 0;
    while (prefixLength < 32 && (netmask & (0x80000000 >>> prefixLength)) !== 0) prefixLength++;
    blocks.push({ address: destination, prefixLength });
  }
  return blocks;
}

function littleEndianHex(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9A-Fa-f]{8}$/.test(text)) return undefined;
  return text.match(/../g)!.reverse().reduce((n, byte) => n * 256 + parseInt(byte, 16), 0);
}

/** The private blocks of RFC 1918, in the order in which they are searched. */
const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map((s) => parseCIDR(s)!);

/**
 * The first block of the preferred one's size that overlaps no route: the preferred one, those after it, the rest of
 * the private address space. `undefined` when none is free or `preferred` is no CIDR.
 */
export function choosePodCIDR(routes: Block[], preferred: string): string | undefined {
  const wanted = parseCIDR(preferred);
  if (wanted === undefined) return undefined;
  const free = (b: Block) => !routes.some((r) => overlaps(r, b));
  if (free(wanted)) return formatCIDR(wanted);
  const size = 2 ** (32 - wanted.prefixLength);
  for (const range of PRIVATE) {
    if (range.prefixLength > wanted.prefixLength) continue;
    const count = 2 ** (wanted.prefixLength - range.prefixLength);
    const first = overlaps(range, wanted) ? Math.floor((wanted.address - range.address) / size) + 1 : 0;
    for (let i = 0; i < count; i++) {
      const address = range.address + ((first + i) % count) * size;
      const b = { address, prefixLength: wanted.prefixLength };
      // 10.0.0.0 and its like are legal but read like mistakes; most home networks live there.
      if (address !== range.address && free(b)) return formatCIDR(b);
    }
  }
  return undefined;
}

/** FNV-1a, 32 bits: a stable number for a name. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** The CIDR to try first: 10.85.0.0/16 for the node's one agent, a /24 by name for a private instance. */
export function preferredPodCIDR(instance: string): string {
  if (instance === "") return "10.85.0.0/16";
  const n = fnv1a(instance);
  return `10.${128 + (n & 63)}.${(n >>> 8) & 255}.0/24`;
}

/** Name of the bridge, at most 15 characters (IFNAMSIZ less the NUL). */
export function bridgeName(instance: string): string {
  return instance === "" ? "agent0" : `agent${fnv1a(instance).toString(16).padStart(8, "0")}`;
}

export interface Conflist {
  cniVersion: string;
  name: string;
  plugins: Record<string, unknown>[];
}

export interface NetworkSpec {
  /** Versions that the bridge plugin answered to VERSION. */
  supportedVersions: string[];
  bridge: string;
  podCIDR: string;
  /** Makes the pods dual-stack. */
  podCIDRv6?: string;
  /** Where host-local keeps what it gave out: an instance's own directory. */
  ipamDir: string;
  /** Adds the firewall plugin: needed where the host's FORWARD chain drops by default. */
  firewall: boolean;
  /** Adds the bandwidth plugin, which obeys the annotations of pods that limit it. */
  bandwidth?: boolean;
}

/** The default bridge network: gateway on the bridge, masquerading, hostPorts, pods reach their own hostPort. */
export function defaultConflist(n: NetworkSpec): Conflist {
  const ranges = [n.podCIDR, n.podCIDRv6].filter((c) => c !== undefined).map((subnet) => [{ subnet }]);
  const routes = [{ dst: "0.0.0.0/0" }, ...(n.podCIDRv6 === undefined ? [] : [{ dst: "::/0" }])];
  const bridge = {
    type: "bridge",
    bridge: n.bridge,
    isGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: { type: "host-local", dataDir: n.ipamDir, ranges, routes },
  };
  const portmap = { type: "portmap", capabilities: { portMappings: true } };
  return {
    cniVersion: ["1.0.0", "0.4.0"].find((v) => n.supportedVersions.includes(v)) ?? "0.3.1",
    name: n.bridge,
    plugins: [
      bridge,
      portmap,
      ...(n.firewall ? [{ type: "firewall" }] : []),
      ...(n.bandwidth === true ? [{ type: "bandwidth", capabilities: { bandwidth: true } }] : []),
    ],
  };
}

/** Names that libcni reads as network configuration. */
export function isNetworkConfig(name: string): boolean {
  return /\.(conflist|conf|json)$/.test(name);
}
