/**
 * As many pods of a cluster on one node as it takes by default (CROWD: another number): all run, at rest only the Lease is
 * said, an agent that is killed and started again touches none, and nothing is left of them when they are deleted.
 * Not for: how fast (tests/bench).
 */
import { assertEquals } from "@std/assert";
import type { Node, Pod } from "../../agent/model/gen/v1.ts";
import type { Seen } from "../fakes/cluster/audit.ts";
import { kinds } from "../fakes/cluster/world.ts";
import { until } from "../fakes/until.ts";
import { isReady } from "./agent.ts";
import { type ClusterOfOne, startClusterOfOne } from "./cluster.ts";
import { identityOf, podOf, shell, stay } from "./pods.ts";

const size = Number(Deno.env.get("CROWD") ?? 110);
const names = Array.from({ length: size }, (_, i) => `crowd-${i}`);
const patience = 300_000;

const podsAt = ({ cluster }: ClusterOfOne) => cluster.world.store.list(kinds.pod) as unknown as Pod[];
const identities = (pods: readonly Pod[]) =>
  Object.fromEntries(pods.map((pod) => [pod.metadata!.name, identityOf(pod)]).sort());

const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
// deno-lint-ignore no-console -- measurements for whoever reads the output
const tell = (text: string) => console.log(text);

async function checkStart(one: ClusterOfOne): Promise<void> {
  const began = performance.now();
  // Networks of their own cost most of the time, and are not what this is about.
  const crowd = names.map((name) => podOf(name, [shell("main", stay)], { hostNetwork: true }));
  for (const pod of crowd) await one.node.run(pod);
  await until("all are ready", () => podsAt(one).filter(isReady).length === names.length, patience);
  tell(`${names.length} pods ready after ${seconds(began)}`);
}

const isLease = ({ method, resource }: Seen) => method === "PUT" && resource === "leases";

/** From one Lease to the third after it, once nothing else was said between two. */
async function checkRest({ cluster, node, user }: ClusterOfOne): Promise<void> {
  const knowsImages = (shown?: Node) => (shown?.status?.images ?? []).length > 0;
  await user.until<Node>("Node", node.name, "its images are told", knowsImages, patience);
  const said = () => cluster.requests.filter(({ user }) => user === `system:node:${node.name}`);
  await until("two leases follow each other", () => said().slice(-2).filter(isLease).length === 2, patience);
  const before = said().length;
  await until(
    "the lease is renewed twice more",
    () => said().slice(before).filter(isLease).length === 2,
    60_000,
  );
  const others = said().slice(before).filter((seen) => !isLease(seen));
  assertEquals(others.map(({ method, path }) => `${method} ${path}`), []);
  const status = await Deno.readTextFile(`/proc/${node.agent.pid()}/status`);
  tell(`at rest with ${names.length} pods: ${/^VmRSS:\s*(.*)$/m.exec(status)?.[1]} resident`);
}

async function checkNewAgent(one: ClusterOfOne): Promise<void> {
  const { agent } = one.node;
  const before = identities(podsAt(one));
  await agent.kill();
  const began = performance.now();
  await one.node.start();
  await until(
    "all are known",
    async () => (await agent.pods()).filter(isReady).length === names.length,
    60_000,
  );
  tell(`adopted after ${seconds(began)}`);
  assertEquals(identities(await agent.pods()), before);
  assertEquals(identities(podsAt(one)), before);
}

async function checkEnd(one: ClusterOfOne): Promise<void> {
  const { user, node: { agent } } = one;
  const began = performance.now();
  for (const name of names) await user.remove("Pod", name, 1);
  await until("all are deleted", () => podsAt(one).length === 0, patience);
  await until("the agent knows none", async () => (await agent.pods()).length === 0);
  tell(`gone after ${seconds(began)}`);
  assertEquals(await agent.ctr("containers", "list", "-q"), "");
  assertEquals([...Deno.readDirSync(`${agent.root}/pods`)], []);
  assertEquals([...Deno.readDirSync(`${agent.root}/logs/pods`)], []);
}

Deno.test("a node with many pods", async (t) => {
  await using one = await startClusterOfOne({ verbosity: 2 });
  await t.step("all of them run", () => checkStart(one));
  await t.step("at rest nothing but the lease is said", () => checkRest(one));
  await t.step("an agent that is killed and started again touches none of them", () => checkNewAgent(one));
  await t.step("deleted they leave nothing behind", () => checkEnd(one));
});
