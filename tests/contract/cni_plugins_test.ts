/**
 * The CNI executor on the real plugins of containernetworking-plugins, each in a network namespace of its own: what ADD
 * makes is seen inside, CHECK agrees, DEL takes all of it away. As root; what the kernel lacks is left out, and says so.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHost } from "../../agent/host.ts";
import { type Json, parseNetwork } from "../../agent/model/cni_config.ts";
import { type Cni, CniError, createCni } from "../../plugins/cni/mod.ts";
import { output } from "../e2e/agent.ts";
import { until } from "../e2e/containerd.ts";

const binDir = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"].find((d) => exists(`${d}/bridge`));
const signal = new AbortController().signal;

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function ip(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await output("ip", args);
  if (code !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** Whether the kernel has this kind of device; asked in a namespace that goes again. */
async function hasDevice(kind: string, ...more: string[]): Promise<boolean> {
  const name = `probe${crypto.randomUUID().slice(0, 8)}`;
  if ((await output("ip", ["netns", "add", name])).code !== 0) return false;
  const inside = (...args: string[]) => output("ip", ["-n", name, ...args]);
  await inside("link", "add", "under", "type", "veth", "peer", "name", "over");
  const { code } = await inside("link", "add", "link", "under", "name", "probe", "type", kind, ...more);
  await output("ip", ["netns", "delete", name]);
  return code === 0;
}

interface Site {
  cni: Cni;
  /** Name of the container's namespace. */
  name: string;
  bridge: string;
  /** A device on the host to put others upon; its peer is `upper`. */
  uplink: string;
  upper: string;
  dataDir: string;
  /** `ip` for the container. */
  inside(...args: string[]): Promise<string>;
  /** A program on the host, which is a namespace, too, so that nothing else is touched and nothing stays. */
  onHost(...argv: string[]): Promise<string>;
  leases(network: string): Promise<string[]>;
}

async function withSite(test: (site: Site) => Promise<void>): Promise<void> {
  const name = `cni-${crypto.randomUUID().slice(0, 6)}`;
  const hostName = `${name}-host`;
  const directory = await Deno.makeTempDir({ prefix: "cni-plugins-" });
  const [bridge, uplink, upper] = ["br0", "up0", "peer0"];
  const dataDir = `${directory}/ipam`;
  const namesIn = async (path: string) =>
    (await Array.fromAsync(Deno.readDir(path)).catch(() => [])).map((e) => e.name);
  const host = createHost();
  const place = ["ip", "netns", "exec", hostName];
  const cni = createCni({
    host: { ...host, exec: (argv, options, signal) => host.exec([...place, ...argv], options, signal) },
    binDirs: [binDir!],
    confDir: directory,
    cacheDir: `${directory}/cache`,
    timeoutMs: 20_000,
  });
  try {
    for (const namespace of [name, hostName]) await ip("netns", "add", namespace);
    await ip("-n", hostName, "link", "add", uplink, "type", "veth", "peer", "name", upper);
    await test({
      cni,
      name,
      bridge,
      uplink,
      upper,
      dataDir,
      inside: (...args) => ip("-n", name, ...args),
      onHost: (...argv) => ip("netns", "exec", hostName, ...argv),
      leases: async (network) => (await namesIn(`${dataDir}/${network}`)).filter((n) => /^[\d.]+$/.test(n)),
    });
    assertEquals(await namesIn(`${directory}/cache/results`), [], "no record is left");
  } finally {
    for (const namespace of [name, hostName]) await output("ip", ["netns", "delete", namespace]);
    await Deno.remove(directory, { recursive: true });
  }
}

const hostLocal = (site: Site, subnet = "10.123.7.0/24") => ({
  type: "host-local",
  dataDir: site.dataDir,
  ranges: [[{ subnet }]],
  routes: [{ dst: "10.124.0.0/16", gw: "10.123.7.1" }],
});

interface Row {
  plugins(site: Site): object[];
  capabilityArgs?: Json;
  /** `ip` in the namespace, and what it must say after ADD. */
  shows: [words: string[], pattern: RegExp][];
  version?: string;
  /** Why this machine cannot. */
  lacks?: string | undefined;
  /** More, while it is attached. */
  also?(site: Site): Promise<void>;
  /** The version, or the plugin, has none. */
  noCheck?: boolean;
  /** CHECK sees that the address has gone; a plugin that makes rules for an address then cannot find them again. */
  breaks?: boolean;
  /** The plugin minds that nothing is there to be taken away. */
  delOnce?: boolean;
}

const bridgeOn = (site: Site, more: object = {}) => ({
  type: "bridge",
  bridge: site.bridge,
  isGateway: true,
  ipam: hostLocal(site),
  ...more,
});

const address = /inet 10\.123\.7\.2\/24/;
const withAddress: Row["shows"][number] = [["addr", "show", "net1"], address];
const lacking = async (kind: string, ...more: string[]) =>
  await hasDevice(kind, ...more) ? undefined : `this kernel has no ${kind}`;
const nat = (site: Site) => site.onHost("iptables", "-t", "nat", "-S");

const rows: Record<string, Row> = {
  "bridge, host-local": {
    plugins: (site) => [bridgeOn(site, { ipMasq: true, hairpinMode: true })],
    shows: [withAddress, [["route"], /10\.124\.0\.0\/16 via 10\.123\.7\.1/]],
    async also(site) {
      assertEquals(await site.leases("lan"), ["10.123.7.2"]);
      assertMatch(await site.onHost("ip", "-o", "addr", "show", site.bridge), /10\.123\.7\.1\/24/);
      assertMatch(await nat(site), /10\.123\.7\.2\/32/);
    },
  },
  "macvlan, static with capability ips": {
    breaks: true,
    lacks: await lacking("macvlan"),
    plugins: (site) => [
      { type: "macvlan", master: site.uplink, capabilities: { ips: true }, ipam: { type: "static" } },
    ],
    capabilityArgs: { ips: ["10.123.7.2/24", "fd00:123::2/64"] },
    shows: [withAddress, [["-6", "addr", "show", "net1"], /fd00:123::2\/64/], [
      ["-d", "link"],
      /macvlan mode bridge/,
    ]],
  },
  "ipvlan": {
    lacks: await lacking("ipvlan"),
    plugins: (site) => [{ type: "ipvlan", master: site.uplink, ipam: hostLocal(site) }],
    shows: [withAddress, [["-d", "link"], /ipvlan/]],
  },
  "ptp": {
    plugins: (site) => [{ type: "ptp", ipMasq: false, ipam: hostLocal(site) }],
    shows: [withAddress, [["route"], /10\.123\.7\.0\/24 via 10\.123\.7\.1/]],
  },
  "vlan": {
    lacks: await lacking("vlan", "id", "7"),
    plugins: (site) => [{ type: "vlan", master: site.uplink, vlanId: 7, ipam: hostLocal(site) }],
    shows: [withAddress, [["-d", "link"], /vlan .*id 7/]],
  },
  "host-device": {
    delOnce: true,
    plugins: (site) => [{ type: "host-device", device: site.upper, ipam: hostLocal(site) }],
    shows: [withAddress],
    async also(site) {
      await assertRejects(() => site.onHost("ip", "link", "show", site.upper));
    },
  },
  "loopback": {
    plugins: () => [{ type: "loopback" }],
    shows: [[["addr", "show", "lo"], /127\.0\.0\.1\/8/]],
  },
  "bridge with portmap": {
    noCheck: true, // it looks for rules of IPv6, too
    plugins: (site) => [bridgeOn(site), { type: "portmap", capabilities: { portMappings: true } }],
    capabilityArgs: { portMappings: [{ hostPort: 31871, containerPort: 80, protocol: "tcp" }] },
    shows: [withAddress],
    async also(site) {
      assertMatch(await nat(site), /--dport 31871 -j DNAT --to-destination 10\.123\.7\.2:80/);
    },
  },
  "bridge with bandwidth": {
    lacks: await lacking("ifb"),
    plugins: (site) => [bridgeOn(site), { type: "bandwidth", capabilities: { bandwidth: true } }],
    capabilityArgs: {
      bandwidth: {
        ingressRate: 1_000_000,
        ingressBurst: 8_000_000,
        egressRate: 2_000_000,
        egressBurst: 8_000_000,
      },
    },
    shows: [withAddress],
    async also(site) {
      const [attachment] = await site.cni.attachments();
      const veth = attachment!.result!.interfaces.find((i) => i.name.startsWith("veth"))!.name;
      assertMatch(await site.onHost("tc", "qdisc", "show", "dev", veth), /qdisc tbf .* rate 1Mbit/);
    },
  },
  "bridge with firewall": {
    version: "0.4.0",
    plugins: (site) => [bridgeOn(site), { type: "firewall" }],
    shows: [withAddress],
    async also(site) {
      assertMatch(await site.onHost("iptables", "-S", "CNI-FORWARD"), /10\.123\.7\.2\/32/);
    },
  },
  "bridge with tuning": {
    plugins: (site) => [
      bridgeOn(site),
      {
        type: "tuning",
        sysctl: { "net.ipv4.conf.net1.arp_filter": "1" },
        mtu: 1400,
        capabilities: { mac: true },
      },
    ],
    capabilityArgs: { mac: "02:00:00:00:77:01" },
    shows: [withAddress, [["link", "show", "net1"], /mtu 1400[^]*02:00:00:00:77:01/]],
  },
  "bridge with sbr": {
    noCheck: true,
    delOnce: true,
    plugins: (site) => [bridgeOn(site), { type: "sbr" }],
    shows: [withAddress, [["rule"], /from 10\.123\.7\.2 lookup \d+/]],
  },
  "bridge with vrf": {
    lacks: await lacking("vrf", "table", "7"),
    plugins: (site) => [bridgeOn(site), { type: "vrf", vrfname: "blue" }],
    shows: [withAddress, [["-d", "link"], /master blue/]],
  },
};
for (const version of ["0.2.0", "0.3.0", "0.3.1", "0.4.0"]) {
  rows[`bridge of version ${version}`] = {
    version,
    plugins: (site) => [bridgeOn(site)],
    shows: [withAddress],
    noCheck: version < "0.4.0",
    breaks: version === "0.4.0",
  };
}

async function checkRow(row: Row, site: Site): Promise<void> {
  const { cni, name } = site;
  const config = { cniVersion: row.version ?? "1.0.0", name: "lan", plugins: row.plugins(site) };
  const reading = parseNetwork(JSON.stringify(config));
  assert("network" in reading, JSON.stringify(reading));
  const { network } = reading;
  const isLoopback = network.plugins[0]!.type === "loopback";
  const request = {
    containerId: name,
    netns: `/run/netns/${name}`,
    ifname: isLoopback ? "lo" : "net1",
    args: [["IgnoreUnknown", "1"]] as const,
    capabilityArgs: row.capabilityArgs ?? {},
  };
  const result = await cni.add(network, request, {}, signal);
  if (!isLoopback) assertEquals(result.ips[0]!.address, "10.123.7.2/24");
  for (const [words, pattern] of row.shows) assertMatch(await site.inside(...words), pattern);
  await row.also?.(site);
  if (row.noCheck !== true) await cni.check(network, request, signal);
  if (row.breaks === true) {
    await site.inside("addr", "flush", "dev", "net1");
    await assertRejects(() => cni.check(network, request, signal), CniError, "(CHECK)");
  }
  await cni.del(network.name, request, signal);
  if (!isLoopback) await assertRejects(() => site.inside("link", "show", "net1"));
  assertEquals(await site.leases("lan"), []);
  for (const rules of [await nat(site), await site.onHost("iptables", "-S")]) {
    assert(!rules.includes("10.123.7.2/32") && !rules.includes(name), rules);
  }
  // As after a crash before the record went.
  if (row.delOnce !== true) await cni.del(network, request, signal);
}

for (const [what, row] of Object.entries(rows)) {
  const missing = binDir === undefined || Deno.uid() !== 0 ? "no plugins, or not root" : row.lacks;
  Deno.test({
    name: `real CNI plugins: ${what}${missing === undefined ? "" : ` (${missing})`}`,
    ignore: missing !== undefined,
    fn: () => withSite((site) => checkRow(row, site)),
  });
}

Deno.test({
  name: "real CNI plugins: an address by dhcp, from a server beyond the bridge",
  ignore: binDir === undefined || Deno.uid() !== 0 || !exists("/bin/busybox"),
  fn: () => withSite(checkDhcp),
});

async function checkDhcp(site: Site): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "cni-dhcp-" });
  const [socket, leases] = [`${directory}/dhcp.sock`, `${directory}/leases`];
  const spawned: Deno.ChildProcess[] = [];
  const spawn = (...argv: string[]) =>
    spawned.push(
      new Deno.Command("ip", {
        args: ["netns", "exec", `${site.name}-host`, ...argv],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn(),
    );
  try {
    await site.onHost("ip", "addr", "add", "10.123.7.1/24", "dev", site.upper);
    for (const link of [site.upper, site.uplink]) await site.onHost("ip", "link", "set", link, "up");
    await Deno.writeTextFile(leases, "");
    const config = `start 10.123.7.2\nend 10.123.7.2\ninterface ${site.upper}\nlease_file ${leases}\n` +
      `pidfile ${directory}/pid\noption subnet 255.255.255.0\noption router 10.123.7.1\noption lease 600\n`;
    await Deno.writeTextFile(`${directory}/udhcpd.conf`, config);
    spawn("/bin/busybox", "udhcpd", "-f", `${directory}/udhcpd.conf`);
    spawn(`${binDir}/dhcp`, "daemon", "-socketpath", socket);
    await until("the dhcp daemon listens", () => exists(socket));
    const ipam = { type: "dhcp", daemonSocketPath: socket };
    const description = { cniVersion: "1.0.0", name: "lan", type: "macvlan", master: site.uplink, ipam };
    const reading = parseNetwork(JSON.stringify(description));
    assert("network" in reading);
    const netns = `/run/netns/${site.name}`;
    const request = { containerId: site.name, netns, ifname: "net1", args: [], capabilityArgs: {} };
    const result = await site.cni.add(reading.network, request, {}, signal);
    assertEquals(result.ips.map((i) => [i.address, i.gateway]), [["10.123.7.2/24", "10.123.7.1"]]);
    assertMatch(await site.inside("addr", "show", "net1"), address);
    await site.cni.del("lan", request, signal);
  } finally {
    for (const child of spawned) child.kill("SIGKILL");
    await Promise.all(spawned.map((child) => child.status));
    await Deno.remove(directory, { recursive: true });
  }
}
