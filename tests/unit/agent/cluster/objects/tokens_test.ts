/** Tokens of service accounts, asked of the double as a node, on clocks that tests set. */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { createTokens, type Tokens } from "../../../../../agent/cluster/objects/tokens.ts";
import { AgentError } from "../../../../../agent/model/errors.ts";
import type { Pod, ServiceAccountTokenProjection } from "../../../../../agent/model/gen/v1.ts";
import type { TokenPod } from "../../../../../agent/ports.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { connected, never } from "../connected.ts";

const node = { commonName: "system:node:box", organizations: ["system:nodes"] };
const hour = 3_600_000;

/** `slept`: what a clock that stands still while the machine sleeps lacks. */
interface Clock {
  ms: number;
  slept: number;
}

async function signing(
  work: (
    s: { cluster: Cluster; tokens: Tokens; clock: Clock; pod: TokenPod; due: string[] },
  ) => Promise<void>,
) {
  await using cluster = await startCluster();
  using api = await connected(cluster, { subject: node });
  made(cluster.world, kinds.serviceAccount, "w", "robot");
  const content = { spec: { nodeName: "box", serviceAccountName: "robot", containers: [] } };
  const pod = made(cluster.world, kinds.pod, "w", "one", content) as unknown as Pod;
  const clock: Clock = { ms: 0, slept: 0 };
  const host = { now: () => Date.parse("2026-01-01") + clock.ms, monotonic: () => clock.ms - clock.slept };
  const tokens = createTokens({ api, host, random: () => 0 });
  const leaving = new AbortController();
  const due: string[] = [];
  tokens.due.subscribe((uid) => due.push(uid), leaving.signal);
  const running = tokens.run(leaving.signal);
  try {
    await work({ cluster, tokens, clock, due, pod: { pod, uid: pod.metadata!.uid! } });
  } finally {
    leaving.abort();
    await running;
  }
}

const wanted: ServiceAccountTokenProjection = { path: "token", expirationSeconds: 3600 };
const claimsOf = ({ token }: { token: string }) =>
  JSON.parse(atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/")));

Deno.test("a token is bound to its pod, for whom it is wanted, and asked for once", () =>
  signing(async ({ cluster, tokens, pod }) => {
    const first = await tokens.request(pod, wanted, never());
    const { sub, aud, exp, iat, "kubernetes.io": tie } = claimsOf(first);
    assertEquals(sub, "system:serviceaccount:w:robot");
    assertEquals([tie.pod.uid, Math.floor(exp) - iat], [pod.uid, 3600]);
    assertEquals((await tokens.request(pod, wanted, never())).token, first.token);
    const vault = await tokens.request(pod, { ...wanted, audience: "vault" }, never());
    assertEquals(claimsOf(vault).aud, ["vault"]);
    assertNotEquals(aud, ["vault"]);
    assertEquals(cluster.requests.filter((r) => r.resource === "serviceaccounts/token").length, 2);
    tokens.forget(pod.uid);
    assertNotEquals((await tokens.request(pod, wanted, never())).token, first.token);
  }));

Deno.test("after 80 % of its life, or a day, a token is due; it is told once, and asked for anew", () =>
  signing(async ({ tokens, clock, pod, due }) => {
    const first = await tokens.request(pod, wanted, never());
    const long = await tokens.request(pod, { ...wanted, expirationSeconds: 7 * 24 * 3600 }, never());
    const again = async (seconds = 3600) =>
      (await tokens.request(pod, { ...wanted, expirationSeconds: seconds }, never())).token;
    clock.ms = 0.79 * hour;
    assertEquals(await again(), first.token);
    clock.ms = 0.81 * hour;
    assertNotEquals(await again(), first.token);
    clock.ms = 23.9 * hour;
    assertEquals(await again(7 * 24 * 3600), long.token);
    clock.ms = 24.1 * hour;
    assertNotEquals(await again(7 * 24 * 3600), long.token);
    assertEquals(due.every((uid) => uid === pod.uid), true);
  }));

Deno.test("who has a token that is due is told so, without asking", () =>
  signing(async ({ cluster, tokens, pod, due, clock }) => {
    cluster.world.settings.tokenLife = 1_000;
    await tokens.request(pod, wanted, never());
    assertEquals(due, []);
    clock.ms = 700;
    await until("it is told", () => {
      clock.ms += 10;
      return due.length > 0;
    });
    assert(clock.ms >= 800, `told after ${clock.ms} ms`);
    assertEquals(due, [pod.uid]);
  }));

Deno.test("a machine that slept has old tokens, by the clock that went on", () =>
  signing(async ({ tokens, clock, pod }) => {
    const first = await tokens.request(pod, wanted, never());
    clock.ms = clock.slept = 2 * hour;
    assertNotEquals((await tokens.request(pod, wanted, never())).token, first.token);
  }));

Deno.test("while nobody signs, a token is handed out to its end, but not beyond", () =>
  signing(async ({ cluster, tokens, clock, pod, due }) => {
    const first = await tokens.request(pod, wanted, never());
    const mend = cluster.faults.add({ answer: { status: 403 } });
    clock.ms = 0.9 * hour;
    const asked = () => cluster.requests.length;
    assertEquals((await tokens.request(pod, wanted, never())).token, first.token);
    const before = asked();
    assertEquals((await tokens.request(pod, wanted, never())).token, first.token);
    assertEquals(asked(), before, "a renewal that failed is not tried again at once");
    clock.ms += 30_000;
    await until("the next try is due", () => due.length > 0);
    clock.ms = hour + 1;
    await assertRejects(
      () => tokens.request(pod, wanted, never()),
      AgentError,
      "the token has expired: failed to fetch token: ",
    );
    mend();
    assertNotEquals((await tokens.request(pod, wanted, never())).token, first.token);
  }));

Deno.test("what is wrong is said: no such account, a pod that was moved, an answer without a token", () =>
  signing(async ({ cluster, tokens, pod }) => {
    const refusal = (text: string, of: TokenPod = pod) =>
      assertRejects(() => tokens.request(of, wanted, never()), AgentError, text);
    const mend = cluster.faults.add({ answer: { status: 200, text: '{"status":{}}' } });
    await refusal("holds no token");
    mend();
    await refusal("failed to fetch token: ", { ...pod, uid: "another" });
    cluster.world.store.remove(
      kinds.serviceAccount,
      cluster.world.store.get(kinds.serviceAccount, "w", "robot")!,
    );
    await refusal('serviceaccounts "robot" not found');
  }));
