/** Files that the agent writes into volumes, and variables: whose they are, with which modes, and how they change. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { DownwardAPIVolumeFile, Pod } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent } from "./agent.ts";
import { configMap, identityOf, podOf, secret, shell, stay } from "./pods.ts";

const nameFile: DownwardAPIVolumeFile = { path: "name", fieldRef: { fieldPath: "metadata.name" } };

/** Owner, group and modes of files under fsGroup: the group reads all, and only what the pod may write is written. */
async function checkOwners(agent: AgentUnderTest): Promise<void> {
  const files = ["map/key", "map/tight", "keys/key", "down/name", "down/open", "all/key", "all/name"];
  const script = [
    ...files.map((file) => `stat -L -c "${file} %a %u:%g" /v/${file}`),
    'for d in map keys down all scratch memory; do stat -L -c "$d %a %g" /v/$d; done',
    "cat /v/*/key /v/map/tight >/dev/null && echo readable",
    "for d in map keys down all; do touch /v/$d/new 2>/dev/null && echo wrote $d; done",
    'for d in scratch memory; do touch /v/$d/new && stat -c "$d/new %u:%g" /v/$d/new; done',
    "id -G",
  ].join("; ");
  const names = ["map", "keys", "down", "all", "scratch", "memory"];
  await agent.write(
    "owned.yaml",
    configMap("owned", { key: "k", tight: "t" }),
    secret("owned", { key: "s" }),
    podOf("owned", [
      shell("main", script, { volumeMounts: names.map((name) => ({ name, mountPath: `/v/${name}` })) }),
    ], {
      restartPolicy: "Never",
      securityContext: {
        runAsUser: 1234,
        runAsGroup: 1234,
        fsGroup: 2000,
        fsGroupChangePolicy: "OnRootMismatch",
      },
      volumes: [
        {
          name: "map",
          configMap: {
            name: "owned",
            defaultMode: 0o400,
            items: [{ key: "key", path: "key" }, { key: "tight", path: "tight", mode: 0o004 }],
          },
        },
        { name: "keys", secret: { secretName: "owned", defaultMode: 0o400 } },
        {
          name: "down",
          downwardAPI: { defaultMode: 0o600, items: [nameFile, { ...nameFile, path: "open", mode: 0o666 }] },
        },
        {
          name: "all",
          projected: {
            defaultMode: 0o444,
            sources: [
              { configMap: { name: "nowhere", optional: true } },
              { secret: { name: "nowhere", optional: true } },
              { secret: { name: "owned", items: [{ key: "key", path: "key", mode: 0o400 }] } },
              { downwardAPI: { items: [nameFile] } },
            ],
          },
        },
        { name: "scratch", emptyDir: {} },
        { name: "memory", emptyDir: { medium: "Memory" } },
      ],
    }),
  );
  await agent.untilEnded("owned");
  assertEquals((await agent.logs("owned", "main")).trim().split("\n"), [
    "map/key 440 0:2000",
    "map/tight 444 0:2000",
    "keys/key 440 0:2000",
    "down/name 640 0:2000",
    "down/open 666 0:2000",
    "all/key 440 0:2000",
    "all/name 444 0:2000",
    "map 2777 2000",
    "keys 3777 2000",
    "down 3777 2000",
    "all 3777 2000",
    "scratch 2777 2000",
    "memory 3777 2000",
    "readable",
    "scratch/new 1234:2000",
    "memory/new 1234:2000",
    "1234 2000",
  ]);
  await agent.remove("owned.yaml");
}

const downPod = (labels: Record<string, string>, annotations: Record<string, string>): Pod =>
  podOf("down", [
    shell(
      "main",
      `env; while :; do cat /down/labels /down/annotations /down/tier; echo; sleep 0.1; done & ${stay}`,
      {
        resources: { requests: { cpu: "250m", memory: "32Mi" }, limits: { memory: "64Mi" } },
        volumeMounts: [{ name: "down", mountPath: "/down" }],
        env: [
          ...Object.entries({
            NAME: "metadata.name",
            NAMESPACE: "metadata.namespace",
            NODE: "spec.nodeName",
            ACCOUNT: "spec.serviceAccountName",
            HOST_IP: "status.hostIP",
            HOST_IPS: "status.hostIPs",
            POD_IP: "status.podIP",
            POD_IPS: "status.podIPs",
            TIER: "metadata.labels['tier']",
          }).map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { apiVersion: "v1", fieldPath } } })),
          { name: "CPU_MILLI", valueFrom: { resourceFieldRef: { resource: "requests.cpu", divisor: "1m" } } },
          { name: "CPU", valueFrom: { resourceFieldRef: { resource: "requests.cpu" } } },
          {
            name: "MEMORY_MI",
            valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "1Mi" } },
          },
          { name: "WHERE", value: "$(NAME)@$(POD_IP) $$(NAME) $(NOPE)" },
        ],
      },
    ),
  ], {
    volumes: [{
      name: "down",
      downwardAPI: {
        items: [
          { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
          { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
          { path: "tier", fieldRef: { fieldPath: "metadata.labels['tier']" } },
        ],
      },
    }],
  }, { labels, annotations });

/** Labels and annotations reach files while the pod runs; variables stay what they were. */
async function checkDownward(agent: AgentUnderTest): Promise<void> {
  await agent.write("down.yaml", downPod({ tier: "one" }, { note: 'say "hi"' }));
  const before = await agent.untilReady("down");
  const text = await agent.untilLog("down", "main", /tier="one"[^\n]*\n[^\n]*\nnote="say \\"hi\\""one/);
  const env = new Map(text.split("\n").map((line) => line.split(/=(.*)/s) as [string, string]));
  const { podIP = "", podIPs = [], hostIP, hostIPs = [] } = before.status!;
  const expected: Record<string, string> = {
    NAME: "down",
    NAMESPACE: "default",
    ACCOUNT: "",
    HOST_IP: hostIP!,
    HOST_IPS: hostIPs.map((h) => h.ip).join(","),
    POD_IP: podIP,
    POD_IPS: podIPs.map((p) => p.ip).join(","),
    TIER: "one",
    CPU_MILLI: "250",
    CPU: "1",
    MEMORY_MI: "64",
    WHERE: `down@${podIP} $(NAME) $(NOPE)`,
  };
  for (const [name, value] of Object.entries(expected)) {
    assertEquals(env.get(name), value, name);
  }
  assertMatch(env.get("NODE") ?? "", /./);
  const written = performance.now();
  await agent.write("down.yaml", downPod({ tier: "two" }, { note: "changed" }));
  await agent.untilLog("down", "main", /tier="two"[^\n]*\n[^\n]*\nnote="changed"two/);
  assert(performance.now() - written < 5000);
  assertEquals(identityOf((await agent.pod("down"))!), identityOf(before));
}

Deno.test("contents of volumes and variables", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step(
    "fsGroup, fsGroupChangePolicy, defaultMode, mode, items and optional: owners and modes of what containers see",
    () => checkOwners(agent),
  );
  await t.step(
    "the downward API: fields, resources with divisors, addresses; live labels and annotations in files",
    () => checkDownward(agent),
  );
});
