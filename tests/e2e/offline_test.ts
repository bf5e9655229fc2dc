/** A node of a cluster while its API server is away, or out of its mind. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../agent/model/gen/v1.ts";
import type { Fault } from "../fakes/cluster/faults.ts";
import { kinds } from "../fakes/cluster/world.ts";
import { until } from "../fakes/until.ts";
import { isReady } from "./agent.ts";
import { type ClusterOfOne, type Manifest, startClusterOfOne, untilKept } from "./cluster.ts";
import { configMap, identityOf, podOf, secret, shell, statusOf, stay } from "./pods.ts";
import { cutPower } from "./power_cut.ts";

/** Tells what it was given, and goes on telling what the ConfigMap says. */
const teller = podOf("teller", [
  shell(
    "main",
    [
      'echo "secret $KEY token $(wc -c </var/run/secrets/kubernetes.io/serviceaccount/token)"',
      'old=; while sleep 0.1; do new=$(cat /v/color); [ "$old" = "$new" ] || echo "color $new"; old=$new; done',
    ].join("\n"),
    { envFrom: [{ secretRef: { name: "keys" } }], volumeMounts: [{ name: "v", mountPath: "/v" }] },
  ),
], { volumes: [{ name: "v", configMap: { name: "paint" } }] });

const once = podOf("once", [shell("main", "exit 0")], { restartPolicy: "Never" });

const isRestarted = (pod: Pod) => isReady(pod) && statusOf(pod, "main").restartCount === 1;

const given = /^secret s3cret token [1-9]\d+$/m;

async function checkReboot(one: ClusterOfOne): Promise<void> {
  const { cluster, user, node } = one;
  const { agent } = node;
  await user.create(secret("keys", { KEY: "s3cret" }) as Manifest);
  await user.create(configMap("paint", { color: "red" }) as Manifest);
  const doomed = podOf("doomed", [shell("main", stay)]);
  for (const pod of [teller, once, doomed]) await node.run(pod);
  for (const name of ["teller", "doomed"]) await user.untilPod(name, "ready at the API server", isReady);
  await user.untilPod("once", "succeeded", (pod) => pod.status?.phase === "Succeeded");
  await untilKept(one, "doomed");
  await cluster.pause();
  await agent.kill();
  await cutPower(agent);
  await node.start();
  await agent.untilPod("teller", "ready again", isRestarted);
  await agent.untilLog("teller", "main", given);
  await agent.untilLog("teller", "main", /^color red$/m);
  await agent.untilReady("doomed");
  assertEquals((await agent.pod("once"))?.status?.phase, "Succeeded");
  const { stdout } = await agent.cli("status");
  assertStringIncludes(stdout, "no answer: the API server cannot be reached");
}

/** The longest that a watch rested so far, in ms. */
const rested = (log: string): number =>
  Math.max(...[...log.matchAll(/watch broke.* pauseMs=(\d+)/g)].map(([, ms]) => Number(ms)));

/** What became of it there while it was away. */
async function checkReturn({ cluster, user, node: { agent } }: ClusterOfOne): Promise<void> {
  const before = identityOf(await agent.untilReady("teller"));
  cluster.world.store.remove(kinds.pod, user.get("Pod", "doomed")!);
  cluster.world.store.put(kinds.configMap, { ...user.get("ConfigMap", "paint")!, data: { color: "blue" } });
  await until("watches have just begun to rest for long", () => rested(agent.log()) > 13_000, 60_000);
  const returned = performance.now();
  await cluster.resume();
  // The Lease is tried every seven seconds, and wakes the watches within two.
  await until("the deleted pod is gone", async () => await agent.pod("doomed") === undefined, 12_000);
  await agent.untilLog("teller", "main", /^color blue$/m);
  const took = Math.round(performance.now() - returned);
  // deno-lint-ignore no-console -- a measurement for whoever reads the output
  console.log(`a change arrived ${took} ms after the API server was back`);
  assertEquals(identityOf(await agent.untilReady("teller")), before);
  await user.untilPod("teller", "restarted once, by the reboot", isRestarted);
  assertEquals(user.pod("once")?.status?.phase, "Succeeded");
}

/** Each meets a few requests of the node, in turn. */
const faults: Fault[] = [
  { answer: { status: 429, retryAfter: 1 } },
  { answer: { status: 500 } },
  { answer: { status: 503, text: "<html>no JSON</html>" } },
  { answer: "garbage" },
  { answer: "drop" },
  { delay: 500 },
];

/** Whatever it answers, what runs stays, and what is new comes through in the end. */
async function checkFaults({ cluster, user, node }: ClusterOfOne): Promise<void> {
  await node.run(podOf("steady", [shell("main", stay)]));
  const before = identityOf(await user.untilPod("steady", "ready", isReady));
  const isOfNode = ({ user }: { user: string }) => user.startsWith("system:node:");
  const mends = faults.map((fault) => cluster.faults.add({ ...fault, when: isOfNode, times: 3 }));
  cluster.cutWatches({ half: true });
  const asked = cluster.requests.length;
  await node.run(podOf("late", [shell("main", stay)]));
  await user.untilPod("late", "ready in spite of all", isReady, 40_000);
  const failed = cluster.requests.slice(asked).filter((r) => isOfNode(r) && r.status !== 200);
  assert(failed.length >= 10, `faults met ${failed.length} requests`);
  mends.forEach((mend) => mend());
  assertEquals(identityOf(await node.agent.untilReady("steady")), before);
}

Deno.test("pods of a cluster outlive its API server", async (t) => {
  await using one = await startClusterOfOne();
  await t.step("its faults harm nothing that runs", () => checkFaults(one));
  await t.step("after a reboot without it they run again, with what they were given", () => checkReboot(one));
  await t.step(
    "when it is back nothing is restarted, and what was deleted is stopped",
    () => checkReturn(one),
  );
});
