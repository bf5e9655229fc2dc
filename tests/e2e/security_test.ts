/** Security contexts, namespaces and names as a container finds them inside. Not for: what is refused by its words alone. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Container, PodSpec, SecurityContext } from "../../agent/model/gen/v1.ts";
import { writeImageArchive } from "../../tools/busybox_image.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, statusOf, stay } from "./pods.ts";

/** What the kernel says of the container's process: `Uid`, `Groups`, `CapEff`, … */
const lookAround =
  "cat /proc/self/status; touch /probe 2>/dev/null && echo root: writable; grep /proc/ /proc/self/mountinfo; true";

async function wrote(agent: AgentUnderTest, pod: string, container: string): Promise<string> {
  const { status } = await agent.untilEnded(pod);
  assertEquals(status?.phase, "Succeeded", JSON.stringify(status, null, 1));
  return await agent.logs(pod, container);
}

const lineOf = (text: string, name: string): string =>
  new RegExp(`^${name}:\\s*(.*?)\\s*$`, "m").exec(text)?.[1]?.replace(/\s+/g, " ") ?? "";

const contextOf = (name: string, securityContext: SecurityContext = {}, more: Partial<Container> = {}) =>
  shell(name, lookAround, { securityContext, ...more });

const once = (name: string, containers: Container[], spec: Partial<PodSpec> = {}) =>
  podOf(name, containers, { restartPolicy: "Never", ...spec });

async function checkUsers(agent: AgentUnderTest): Promise<void> {
  await agent.write(
    "users.yaml",
    once("users", [contextOf("inherits"), contextOf("own", { runAsUser: 1001, runAsGroup: 2001 })], {
      securityContext: { runAsUser: 1000, runAsGroup: 2000, fsGroup: 4000, supplementalGroups: [3000] },
    }),
    once("owners", [
      contextOf("numeric", {}, { image: numeric }),
      contextOf("named", { runAsNonRoot: false }, { image: named }),
    ]),
    once("bewares", [contextOf("numeric", {}, { image: numeric })], {
      securityContext: { runAsNonRoot: true },
    }),
    podOf("refused", [
      contextOf("root"),
      contextOf("named", {}, { image: named }),
      contextOf("zero", { runAsUser: 0 }),
    ], {
      securityContext: { runAsNonRoot: true },
    }),
  );
  const ids = async (pod: string, container: string) => {
    const text = await wrote(agent, pod, container);
    return [lineOf(text, "Uid"), lineOf(text, "Gid"), lineOf(text, "Groups")];
  };
  const four = (id: number) => `${id} ${id} ${id} ${id}`;
  assertEquals(await ids("users", "inherits"), [four(1000), four(2000), "2000 3000 4000"]);
  assertEquals(await ids("users", "own"), [four(1001), four(2001), "2001 3000 4000"]);
  assertEquals((await ids("owners", "numeric")).slice(0, 2), [four(1234), four(1234)]);
  assertEquals((await ids("owners", "named")).slice(0, 2), [four(1234), four(1234)]);
  assertEquals((await ids("bewares", "numeric"))[0], four(1234));
  const waiting = (name: string, words: string) =>
    agent.untilPod("refused", words, (p) => {
      const { reason, message } = statusOf(p, name).state?.waiting ?? {};
      return reason === "CreateContainerConfigError" && message?.includes(words) === true;
    });
  await waiting("root", "container has runAsNonRoot and image will run as root");
  await waiting("named", "image has non-numeric user (web), cannot verify user is non-root");
  await waiting("zero", "container's runAsUser breaks non-root policy");
  await agent.remove("users.yaml");
}

async function checkPrivileges(agent: AgentUnderTest): Promise<void> {
  await agent.write(
    "rights.yaml",
    once("rights", [
      contextOf("plain"),
      contextOf("dropped", { capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE", "CAP_SYS_TIME"] } }),
      contextOf("held", { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true }),
      contextOf("privileged", { privileged: true }),
    ]),
  );
  const text = (name: string) => wrote(agent, "rights", name);
  const [plain, dropped, held, privileged] = [
    await text("plain"),
    await text("dropped"),
    await text("held"),
    await text("privileged"),
  ];
  const [bind, time] = [1n << 10n, 1n << 25n];
  const has = (status: string) => BigInt(`0x${lineOf(status, "CapEff")}`);
  assertEquals([has(plain) & bind, has(plain) & time], [bind, 0n]);
  assertEquals(has(dropped), bind | time);
  assertEquals(has(privileged), has(Deno.readTextFileSync("/proc/self/status")));
  assertEquals([plain, held].map((s) => lineOf(s, "NoNewPrivs")), ["0", "1"]);
  assertEquals([plain, held].map((s) => lineOf(s, "root")), ["writable", ""]);
  assertMatch(plain, / \/proc\/sys ro,/);
  assertMatch(plain, / \/proc\/(kcore|keys|interrupts|timer_list) /);
  assert(!/ \/proc\/\w+ /.test(privileged), "nothing is hidden from a privileged container");
  await agent.remove("rights.yaml");
}

const seccomp = (type: string, localhostProfile?: string): SecurityContext => ({
  seccompProfile: { type, ...(localhostProfile !== undefined && { localhostProfile }) },
});

async function checkSeccomp(agent: AgentUnderTest): Promise<void> {
  await Deno.mkdir(`${agent.root}/seccomp/mine`, { recursive: true });
  const deny = { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" };
  await Deno.writeTextFile(
    `${agent.root}/seccomp/mine/no-mkdir.json`,
    JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [deny] }),
  );
  const filters = once("filters", [
    contextOf("none"),
    contextOf("unconfined", seccomp("Unconfined")),
    contextOf("default", seccomp("RuntimeDefault")),
    shell("local", "mkdir /tmp/x 2>&1; cat /proc/self/status", {
      securityContext: seccomp("Localhost", "mine/no-mkdir.json"),
    }),
  ]);
  await agent.write(
    "filters.yaml",
    filters,
    podOf("lost", [contextOf("main", seccomp("Localhost", "mine/nowhere.json"))]),
  );
  const mode = async (name: string) => lineOf(await wrote(agent, "filters", name), "Seccomp");
  assertEquals([await mode("none"), await mode("unconfined"), await mode("default"), await mode("local")], [
    "0",
    "0",
    "2",
    "2",
  ]);
  assertStringIncludes(await agent.logs("filters", "local"), "Operation not permitted");
  await agent.untilPod("lost", "the profile is missed", (p) => {
    const { reason, message } = statusOf(p, "main").state?.waiting ?? {};
    return reason === "CreateContainerConfigError" &&
      message?.includes(`the seccomp profile ${agent.root}/seccomp/mine/nowhere.json does not exist`) ===
        true;
  });
  await agent.remove("filters.yaml");
  await agent.untilGone("filters");
  await agent.stop();
  await agent.start(["--seccomp-default"]);
  await agent.write("filters.yaml", filters);
  assertEquals([await mode("none"), await mode("unconfined")], ["2", "0"]);
  await agent.remove("filters.yaml");
}

/** This machine has neither AppArmor nor SELinux, as many have: what must be enforced is refused, the rest is harmless. */
async function checkProfiles(agent: AgentUnderTest): Promise<void> {
  const options = { user: "system_u", role: "system_r", type: "container_t", level: "s0:c1,c2" };
  await agent.write(
    "profiles.yaml",
    once("labelled", [contextOf("main", { seLinuxOptions: options })], {
      securityContext: { seLinuxOptions: options },
    }),
    once("free", [contextOf("main", { appArmorProfile: { type: "Unconfined" } })]),
    podOf("confined", [contextOf("main", { appArmorProfile: { type: "RuntimeDefault" } })]),
    podOf("annotated", [contextOf("main")], {}, {
      annotations: { "container.apparmor.security.beta.kubernetes.io/main": "localhost/mine" },
    }),
    podOf("strict", [contextOf("main")], { securityContext: { supplementalGroupsPolicy: "Strict" } }),
    podOf("users", [contextOf("main")], { hostUsers: false }),
    once("merging", [contextOf("main")], { securityContext: { supplementalGroupsPolicy: "Merge" } }),
  );
  for (const name of ["labelled", "free", "merging"]) await wrote(agent, name, "main");
  for (
    const [name, reason, message] of [
      ["confined", "AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"],
      ["annotated", "AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"],
      [
        "strict",
        "SupplementalGroupsPolicyNotSupported",
        "SupplementalGroupsPolicy=Strict is not supported in this node",
      ],
    ] as const
  ) {
    const { status } = await agent.untilPod(name, reason, (p) => p.status?.reason === reason);
    assertEquals(status?.phase, "Failed");
    assertStringIncludes(status?.message ?? "", message);
  }
  await agent.untilPod("users", "hostUsers is refused", (p) =>
    p.status?.reason === "CreatePodSandboxError" &&
    p.status.message?.includes(
        "can't set `spec.hostUsers: false`, runtime does not support user namespaces",
      ) === true);
  await agent.remove("profiles.yaml");
}

const spaces = "for n in pid ipc net uts; do ls -l /proc/self/ns/$n; done; cat /proc/1/cmdline; echo";

async function checkNamespaces(agent: AgentUnderTest): Promise<void> {
  const look = shell("main", spaces);
  await agent.write(
    "spaces.yaml",
    once("apart", [look]),
    once("process", [look], { hostPID: true }),
    once("messages", [look], { hostIPC: true }),
    podOf("together", [
      shell("main", stay),
      shell("other", `until grep -q sleep /proc/[0-9]*/cmdline; do sleep 0.05; done; ${spaces}; ${stay}`),
    ], {
      shareProcessNamespace: true,
    }),
  );
  const shared = (text: string) =>
    ["pid", "ipc", "net", "uts"].filter((n) => text.includes(Deno.readLinkSync(`/proc/self/ns/${n}`)));
  const apart = await wrote(agent, "apart", "main");
  assertEquals([shared(apart), apart.includes("ns/uts")], [[], true]);
  assertEquals(shared(await wrote(agent, "process", "main")), ["pid"]);
  assertEquals(shared(await wrote(agent, "messages", "main")), ["ipc"]);
  const together = await agent.untilLog("together", "other", /pause/);
  assertEquals(shared(together), [], "the processes are the pod's, with its sandbox as the first");
  await agent.remove("spaces.yaml");
}

async function checkNames(agent: AgentUnderTest): Promise<void> {
  const look = shell("main", "hostname; cat /etc/resolv.conf");
  const servers = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
  await agent.write(
    "names.yaml",
    once("full", [look], { hostname: "db", subdomain: "sub", setHostnameAsFQDN: true }),
    once("renamed", [look], { hostnameOverride: "other.example", hostname: "db", subdomain: "sub" }),
    once("many", [look], { dnsPolicy: "ClusterFirst", dnsConfig: { nameservers: servers } }),
    podOf("long", [look], { subdomain: "s".repeat(60), setHostnameAsFQDN: true }),
  );
  const first = async (pod: string) => (await wrote(agent, pod, "main")).split("\n")[0];
  assertEquals([await first("full"), await first("renamed")], [
    "db.sub.default.svc.box.test",
    "other.example",
  ]);
  const { status } = await agent.untilPod(
    "long",
    "it is too long",
    (p) => p.status?.reason === "CreatePodSandboxError",
  );
  assertMatch(status?.message ?? "", /^failed to construct FQDN .*64 characters is the max/);
  const resolv = await wrote(agent, "many", "main");
  const kept = resolv.split("\n").filter((l) => l.startsWith("nameserver")).map((l) => l.split(" ")[1]);
  assertEquals(kept, ["192.0.2.53", ...servers.slice(0, 2)]);
  assertMatch(resolv, /^search default\.svc\.box\.test svc\.box\.test box\.test/m);
  assertMatch(resolv, /^options ndots:5$/m);
  interface Told {
    reason: string;
    message: string;
    involvedObject: { name: string };
  }
  await until("what was left out is told", async () => {
    const { items } = await agent.api<{ items: Told[] }>("/events");
    return items.some((e) =>
      e.involvedObject.name === "many" && e.reason === "DNSConfigForming" &&
      e.message.endsWith(`the applied nameserver line is: ${kept.join(" ")}`)
    );
  });
  await agent.remove("names.yaml");
}

const numeric = "localhost/agent/numeric:1";
const named = "localhost/agent/named:1";

Deno.test("security contexts", async (t) => {
  await using agent = await createAgent({
    config: `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDomain: box.test
clusterDNS: [192.0.2.53]
`,
  });
  await writeImageArchive(agent.images, "numeric.tar", { tags: [numeric], config: { User: "1234:1234" } });
  await writeImageArchive(agent.images, "named.tar", { tags: [named], config: { User: "web" } });
  await agent.start();
  await t.step(
    "runAsUser, runAsGroup, groups, fsGroup, and runAsNonRoot with users of images",
    () => checkUsers(agent),
  );
  await t.step(
    "capabilities, privileged, allowPrivilegeEscalation, readOnlyRootFilesystem, masked paths",
    () => checkPrivileges(agent),
  );
  await t.step(
    "seccompProfile: RuntimeDefault, Unconfined, Localhost, and seccompDefault",
    () => checkSeccomp(agent),
  );
  await t.step(
    "appArmorProfile, supplementalGroupsPolicy Strict and seLinuxOptions on a host without them",
    () => checkProfiles(agent),
  );
  await t.step("hostPID, hostIPC, shareProcessNamespace", () => checkNamespaces(agent));
  await t.step(
    "setHostnameAsFQDN, hostnameOverride, and a resolver within its limits",
    () => checkNames(agent),
  );
});
