/** What a container sees: its environment, arguments, files, limits, network. Not for: how the pod's life goes on. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { cgroupMounts } from "./leftovers.ts";
import { configMap, podOf, secret, shell, stay } from "./pods.ts";

/** The words of `KEY=VALUE` lines. */
const variables = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.trimEnd().split("\n").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );

const field = (fieldPath: string) => ({ valueFrom: { fieldRef: { fieldPath } } });
const resource = (name: string, divisor?: string) => ({
  valueFrom: { resourceFieldRef: { resource: name, ...(divisor === undefined ? {} : { divisor }) } },
});

/** Runs a pod whose containers end by themselves, and gives what each wrote. */
async function outputs(agent: AgentUnderTest, name: string, ...names: string[]): Promise<string[]> {
  const pod = await agent.untilEnded(name);
  assertEquals(pod.status?.phase, "Succeeded", JSON.stringify(pod.status, null, 1));
  return await Promise.all(names.map((c) => agent.logs(name, c)));
}

async function checkEnvironment(agent: AgentUnderTest): Promise<void> {
  const container = shell("main", "env; echo ARGS=$0-$1; pwd", {
    args: ["$(GREETING)", "$$(GREETING)"],
    workingDir: "/tmp",
    resources: { requests: { cpu: "100m", memory: "16Mi" }, limits: { cpu: "250m", memory: "64Mi" } },
    envFrom: [
      { configMapRef: { name: "settings" } },
      { prefix: "S_", secretRef: { name: "keys" } },
      { configMapRef: { name: "nowhere", optional: true } },
    ],
    env: [
      { name: "NAME", value: "world" },
      { name: "GREETING", value: "hello $(NAME) $(MISSING) $$(NAME)" },
      { name: "colour", value: "from env" },
      { name: "FROM_MAP", valueFrom: { configMapKeyRef: { name: "settings", key: "size" } } },
      { name: "FROM_SECRET", valueFrom: { secretKeyRef: { name: "keys", key: "token" } } },
      { name: "POD", ...field("metadata.name") },
      { name: "NS", ...field("metadata.namespace") },
      { name: "UID", ...field("metadata.uid") },
      { name: "TIER", ...field("metadata.labels['tier']") },
      { name: "NOTE", ...field("metadata.annotations['note']") },
      { name: "IP", ...field("status.podIP") },
      { name: "HOST_IP", ...field("status.hostIP") },
      { name: "NODE", ...field("spec.nodeName") },
      { name: "CPU_LIMIT", ...resource("limits.cpu", "1m") },
      { name: "MEMORY_REQUEST", ...resource("requests.memory") },
      { name: "MEMORY_MI", ...resource("limits.memory", "1Mi") },
    ],
  });
  await agent.write(
    "env.yaml",
    configMap("settings", { colour: "from map", size: "7" }),
    secret("keys", { token: "s3cr3t" }),
    podOf("env", [container], { restartPolicy: "Never" }, {
      labels: { tier: "front" },
      annotations: { note: "two words" },
    }),
  );
  const [text] = await outputs(agent, "env", "main");
  const seen = variables(text!);
  const pod = (await agent.pod("env"))!;
  const status = await agent.api<{ nodeName: string }>("/status");
  const expected = {
    NAME: "world",
    GREETING: "hello world $(MISSING) $(NAME)",
    ARGS: "hello world $(MISSING) $(NAME)-$(GREETING)",
    colour: "from env",
    size: "7",
    S_token: "s3cr3t",
    FROM_MAP: "7",
    FROM_SECRET: "s3cr3t",
    POD: "env",
    NS: "default",
    UID: pod.metadata!.uid,
    TIER: "front",
    NOTE: "two words",
    HOST_IP: pod.status!.hostIP,
    NODE: status.nodeName,
    CPU_LIMIT: "250",
    MEMORY_REQUEST: `${16 * 2 ** 20}`,
    MEMORY_MI: "64",
    HOSTNAME: "env",
    PATH: "/bin",
  };
  assertEquals(Object.fromEntries(Object.keys(expected).map((key) => [key, seen[key]])), expected);
  assertMatch(seen["IP"] ?? "", /^\d+\.\d+\.\d+\.\d+$/);
  assertMatch(text!, /\n\/tmp\n$/);
}

async function checkNames(agent: AgentUnderTest): Promise<void> {
  const script =
    "cat /etc/hosts; echo ==; cat /etc/resolv.conf; echo ==; hostname; cat /proc/net/route | wc -l; ls -l /proc/self/ns/net";
  await agent.write(
    "names.yaml",
    podOf("names", [shell("main", script)], {
      restartPolicy: "Never",
      hostname: "inner",
      subdomain: "sub",
      hostAliases: [{ ip: "192.0.2.7", hostnames: ["one.test", "two.test"] }],
      dnsPolicy: "None",
      dnsConfig: {
        nameservers: ["192.0.2.53"],
        searches: ["a.test", "b.test"],
        options: [{ name: "ndots", value: "3" }],
      },
    }),
  );
  const hostScript = "hostname; readlink /proc/self/ns/net; cat /etc/resolv.conf";
  await agent.write(
    "host.yaml",
    podOf("onhost", [shell("main", hostScript.replace("readlink", "ls -l"))], {
      restartPolicy: "Never",
      hostNetwork: true,
    }),
  );
  const [[names], [host]] = await Promise.all([
    outputs(agent, "names", "main"),
    outputs(agent, "onhost", "main"),
  ]);
  const [hosts, resolv, rest] = names!.split("==\n");
  assertStringIncludes(hosts!, "127.0.0.1\tlocalhost");
  assertMatch(hosts!, /^\d+\.\d+\.\d+\.\d+\tinner\.sub\.default\.svc\.\S*\tinner$/m);
  assertMatch(hosts!, /^192\.0\.2\.7\s+one\.test\s+two\.test$/m);
  assertEquals(resolv!.trimEnd().split("\n").sort(), [
    "nameserver 192.0.2.53",
    "options ndots:3",
    "search a.test b.test",
  ]);
  assertEquals(rest!.split("\n")[0], "inner");
  const own = Deno.readLinkSync("/proc/self/ns/net");
  assert(!names!.includes(own), "a network namespace of its own");
  assertStringIncludes(host!, own);
  assertEquals(host!.split("\n")[0], Deno.hostname());
  const servers = (text: string) => text.split("\n").filter((line) => line.startsWith("nameserver"));
  assertEquals(servers(host!), servers(Deno.readTextFileSync("/etc/resolv.conf")));
  assertEquals((await agent.pod("onhost"))?.status?.podIP, (await agent.pod("onhost"))?.status?.hostIP);
}

/** A file of the container's cgroup on this machine. */
function cgroupFile(id: string, ...names: string[]): string {
  const find = (directory: string): string | undefined => {
    for (const entry of Deno.readDirSync(directory)) {
      if (!entry.isDirectory) continue;
      const path = `${directory}/${entry.name}`;
      const found = entry.name.includes(id) ? path : find(path);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  for (const mount of cgroupMounts()) {
    const directory = find(mount);
    for (const name of names) {
      const text = directory === undefined ? undefined : read(`${directory}/${name}`);
      if (text !== undefined) return text.trim();
    }
  }
  throw new Error(`no ${names.join(" or ")} of container ${id}`);
}

const read = (path: string): string | undefined => {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
};

async function checkLimits(agent: AgentUnderTest): Promise<void> {
  const limits = { requests: { cpu: "200m", memory: "8Mi" }, limits: { cpu: "500m", memory: "48Mi" } };
  await agent.write(
    "limits.yaml",
    podOf("limits", [shell("limited", stay, { resources: limits }), shell("free", stay)]),
  );
  const pod = await agent.untilReady("limits");
  const id = (name: string) =>
    pod.status!.containerStatuses!.find((c) => c.name === name)!.containerID!.replace(/^.*:\/\//, "");
  assertEquals(cgroupFile(id("limited"), "memory.limit_in_bytes", "memory.max"), `${48 * 2 ** 20}`);
  assertMatch(cgroupFile(id("limited"), "cpu.cfs_quota_us", "cpu.max"), /^50000( 100000)?$/);
  assertMatch(cgroupFile(id("limited"), "cpu.shares", "cpu.weight"), /^(204|8)$/);
  assert(cgroupFile(id("free"), "memory.limit_in_bytes", "memory.max") !== `${48 * 2 ** 20}`);
  assertEquals(pod.status?.qosClass, "Burstable");
  assertStringIncludes(cgroupPath(pod.metadata!.uid!), `${agent.places().cgroupRoot}/kubepods/burstable/pod`);
}

function cgroupPath(uid: string): string {
  for (const entry of Deno.readDirSync("/proc")) {
    const text = /^\d+$/.test(entry.name) ? read(`/proc/${entry.name}/cgroup`) : undefined;
    if (text?.includes(uid)) return text;
  }
  throw new Error(`no process in a cgroup of pod ${uid}`);
}

Deno.test("what a container sees", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step("variables, arguments, working directory", () => checkEnvironment(agent));
  await t.step("host name, hosts, resolver, network", () => checkNames(agent));
  await t.step("limits in its cgroup, below the cgroups of its pod and its class", () => checkLimits(agent));
});
