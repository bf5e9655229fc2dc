/** Tokens of pods while nobody signs any. */
import { assertEquals, assertRejects } from "@std/assert";
import { createRenewals, keepTokens, uidOf } from "../../../../../agent/cluster/offline/tokens.ts";
import { AgentError } from "../../../../../agent/model/errors.ts";
import type { ServiceAccountToken } from "../../../../../agent/ports.ts";
import { podOf } from "./world.ts";

const never = new AbortController().signal;
const pod = { pod: podOf("web"), uid: "web-uid", source: "api" as const, origin: "" };
const wanted = { path: "token", audience: "me", expirationSeconds: 3607 };

const tokenUntil = (seconds: number): ServiceAccountToken => ({
  token: `until ${seconds}`,
  expirationTimestamp: new Date(seconds * 1000).toISOString(),
});

function lab(kept?: ServiceAccountToken) {
  const world = {
    signs: true,
    answers: true,
    now: 1_000_000,
    asked: 0,
    next: tokenUntil(9_000),
    changes: [] as boolean[],
    lent: [] as string[],
    tokens: new Map<string, ServiceAccountToken>(),
  };
  const source = keepTokens({
    source: {
      request() {
        world.asked++;
        return world.signs
          ? Promise.resolve(world.next)
          : Promise.reject(new AgentError("FailedMount", "gone"));
      },
    },
    tokens: world.tokens,
    clock: { now: () => world.now },
    answers: () => world.answers,
    lent: (uid) => world.lent.push(uid),
    changed: (isFirst) => world.changes.push(isFirst),
  });
  if (kept !== undefined) world.tokens.set("web-uid 3607 me", kept);
  return { world, ask: () => source.request(pod, wanted, never) };
}

Deno.test("a token is kept by what it was asked for; who listens hears of a first one and of renewed ones", async () => {
  const { world, ask } = lab();
  assertEquals(await ask(), world.next);
  await ask();
  world.next = tokenUntil(9_999);
  assertEquals(await ask(), world.next);
  assertEquals(world.changes, [true, false]);
  assertEquals([...world.tokens.keys()].map(uidOf), ["web-uid"]);
});

Deno.test("while the API server is silent the kept one is given without a question, even when it has expired", async () => {
  const { world, ask } = lab(tokenUntil(10));
  world.answers = false;
  assertEquals([await ask(), world.asked, world.lent], [tokenUntil(10), 0, ["web-uid"]]);
});

Deno.test("a refusal stands, but for the rest of a kept token's life", async () => {
  const { world, ask } = lab(tokenUntil(2_000));
  world.signs = false;
  assertEquals(await ask(), tokenUntil(2_000));
  world.now = 2_000_000;
  await assertRejects(ask, AgentError, "gone");
});

Deno.test("nobody's token is kept: the failure is the answer", async () => {
  const { world, ask } = lab();
  world.signs = false;
  world.answers = false;
  await assertRejects(ask, AgentError, "gone");
});

Deno.test("who was given a kept token gets another when the API server answers, and is not asked for at each answer", () => {
  const time = { ms: 0 };
  const renewed: string[] = [];
  const renewals = createRenewals({ monotonic: () => time.ms }, (uid) => renewed.push(uid));
  renewals.heard();
  renewals.lent("a");
  renewals.lent("a");
  renewals.lent("b");
  renewals.heard();
  renewals.lent("a");
  renewals.heard();
  assertEquals(renewed, ["a", "b"]);
  time.ms = 10_000;
  renewals.heard();
  assertEquals(renewed, ["a", "b", "a"]);
});
