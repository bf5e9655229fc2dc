/**
 * A node of a cluster that boots with a clock that is years off, as a board without a battery does: the API server's
 * certificate, and its own, are not valid by it until somebody sets it. The agent's clock alone is wrong, by libfaketime;
 * the one that never jumps is as it is. Not for: the arithmetic (tests/unit).
 */
import { assert, assertEquals } from "@std/assert";
import { find } from "../fakes/cluster/world.ts";
import { until } from "../fakes/until.ts";
import { isReady } from "./agent.ts";
import { type ClusterOfOne, type Manifest, startClusterOfOne, untilKept } from "./cluster.ts";
import { identityOf, podOf, secret, shell, statusOf, stay } from "./pods.ts";
import { cutPower } from "./power_cut.ts";

const library = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketimeMT.so.1`;

interface Clock extends AsyncDisposable {
  environment: Record<string, string>;
  /** How far it is off from now on, in faketime's words. */
  set(offset: string): Promise<void>;
}

async function createClock(): Promise<Clock> {
  const directory = await Deno.makeTempDir({ prefix: "agent-clock-", dir: "/run" });
  const file = `${directory}/offset`;
  const clock: Clock = {
    environment: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      NO_FAKE_STAT: "1",
    },
    async set(offset) {
      await Deno.writeTextFile(`${file}.new`, offset);
      await Deno.rename(`${file}.new`, file);
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
  await clock.set("+0");
  return clock;
}

const account = "/var/run/secrets/kubernetes.io/serviceaccount";
const teller = podOf("teller", [
  shell("main", `echo "key $KEY token $(wc -c <${account}/token)"; ${stay}`, {
    envFrom: [{ secretRef: { name: "keys" } }],
  }),
]);

const seen = new Map<string, unknown>();

const problemsOf = async ({ node: { agent } }: ClusterOfOne) =>
  (await agent.problems()).map(({ message }) => message).join("\n");

async function untilDisbelieved({ node: { agent } }: ClusterOfOne): Promise<void> {
  const status = async () => (await agent.cli("status")).stdout;
  await until("the API server is not believed", async () => /no answer.*certificate/i.test(await status()));
}

async function checkBoot(one: ClusterOfOne, clock: Clock): Promise<void> {
  const { user, node } = one;
  const { agent } = node;
  await user.create(secret("keys", { KEY: "s3cret" }) as Manifest);
  for (const pod of [teller, podOf("frail", [shell("main", stay)])]) await node.run(pod);
  for (const name of ["teller", "frail"]) await user.untilPod(name, "ready at the API server", isReady);
  await untilKept(one, "frail");
  await agent.kill();
  await cutPower(agent);
  await clock.set("-2200d");
  await node.start();
  for (const name of ["teller", "frail"]) await agent.untilReady(name);
  await agent.untilLog("teller", "main", /^key s3cret token [1-9]\d+$/m);
  seen.set("teller", identityOf(await agent.untilReady("teller")));
  await until("the clock is named", async () => /this clock says 20/.test(await problemsOf(one)));
  await untilDisbelieved(one);
}

/** Ends and restarts are the node's own business, whatever its clock says: the runtime's is right. */
async function checkRestart({ node: { agent } }: ClusterOfOne): Promise<void> {
  const before = statusOf(await agent.untilReady("frail"), "main");
  await agent.ctr("tasks", "kill", "--signal", "SIGKILL", before.containerID!.replace("containerd://", ""));
  const again = await agent.untilPod("frail", "restarted", (pod) => {
    const { restartCount, containerID } = statusOf(pod, "main");
    return isReady(pod) && restartCount === before.restartCount + 1 && containerID !== before.containerID;
  });
  seen.set("frail", identityOf(again));
}

/** `late`: a pod that came while the clock was wrong. */
async function checkSet({ cluster, user, node }: ClusterOfOne, clock: Clock, late: string): Promise<void> {
  await node.run(podOf(late, [shell("main", stay)]));
  const lease = () => cluster.world.store.get(find("Lease"), "kube-node-lease", node.name);
  const before = Date.now();
  await clock.set("+0");
  // The Lease is tried every seven seconds, and wakes all others within two.
  await user.untilPod(late, "ready at the API server", isReady, 40_000);
  await until("the lease is renewed", () => Date.parse(String(lease()?.spec?.renewTime)) >= before);
  assert(Date.parse(String(lease()?.spec?.renewTime)) <= Date.now());
  for (const name of ["teller", "frail"]) {
    assertEquals(identityOf(await node.agent.untilReady(name)), seen.get(name), name);
    assertEquals(identityOf(await user.untilPod(name, "told", (pod) => isReady(pod))), seen.get(name), name);
  }
}

/** By a clock that is far ahead all certificates have ended. */
async function checkAhead(one: ClusterOfOne, clock: Clock): Promise<void> {
  const { node } = one;
  await node.agent.kill();
  await clock.set("+4000d");
  await node.start();
  await until("its own certificate is named", async () => /certificate ended at/.test(await problemsOf(one)));
  await untilDisbelieved(one);
}

Deno.test("a node boots with a clock that is years off", async (t) => {
  await using clock = await createClock();
  await using one = await startClusterOfOne({ environment: clock.environment });
  await t.step(
    "its pods run again, and it is told why the API server is not asked",
    () => checkBoot(one, clock),
  );
  await t.step("what ends is restarted", () => checkRestart(one));
  await t.step(
    "once it is set the node is back, and nothing is restarted",
    () => checkSet(one, clock, "late"),
  );
  await t.step("an agent that starts with a clock far ahead leaves them alone", () => checkAhead(one, clock));
  await t.step("once it is set again the node is back", () => checkSet(one, clock, "later"));
});
