/** What the API server is asked about who asks this node, and how long its answers hold; against the double. */
import { assertEquals, assertRejects } from "@std/assert";
import { createReviews } from "../../../../../agent/cluster/reviews/reviews.ts";
import { startCluster } from "../../../../fakes/cluster/cluster.ts";
import { until } from "../../../../fakes/until.ts";
import { connected, never } from "../connected.ts";

const reviewers = { commonName: "system:node:box", organizations: ["system:nodes"] };

const ttls = { tokenTTL: 120_000, allowTTL: 300_000, denyTTL: 30_000 };

Deno.test("a yes holds longer than a no, and both hold while the API server is away; what is not known is an error", async () => {
  await using cluster = await startCluster();
  cluster.world.grants.set("user:bob", [{ verbs: ["get"], resources: ["nodes/metrics"], paths: [] }]);
  using api = await connected(cluster, { subject: reviewers });
  let now = 0;
  const reviews = createReviews({ api, nodeName: "box", monotonic: () => now, ...ttls, signal: never() });
  const bob = { name: "bob", groups: ["system:authenticated"] };
  const may = (subresource: string) => reviews.allows(bob, { verb: "get", subresource });
  const asked = () => cluster.requests.filter((r) => r.path.endsWith("subjectaccessreviews")).length;
  assertEquals([await may("metrics"), await may("proxy"), asked()], [true, false, 2]);
  assertEquals([await may("metrics"), await may("proxy"), asked()], [true, false, 2]);
  now = 31_000;
  assertEquals([await may("metrics"), asked()], [true, 2]);
  assertEquals([await may("proxy"), asked()], [false, 3]);
  await cluster.pause();
  assertEquals([await may("metrics"), await may("proxy")], [true, false]);
  await assertRejects(() => may("log"));
  now = 301_000;
  await assertRejects(() => may("metrics"));
  await cluster.resume();
  assertEquals(await may("metrics"), true);
});

Deno.test("many who ask the same at once are one question", async () => {
  await using cluster = await startCluster();
  using api = await connected(cluster, { subject: reviewers });
  const reviews = createReviews({ api, nodeName: "box", monotonic: () => 0, ...ttls, signal: never() });
  const user = { name: "eve", groups: [] };
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => reviews.allows(user, { verb: "get", subresource: "stats" })),
  );
  assertEquals(new Set(answers), new Set([false]));
  assertEquals(cluster.requests.length, 1);
});

Deno.test("a token is somebody's with name and groups, or nobody's; of neither the API server is asked again soon", async () => {
  await using cluster = await startCluster();
  const bootstrap = await cluster.bootstrapToken();
  using api = await connected(cluster, { subject: reviewers });
  let now = 0;
  const reviews = createReviews({ api, nodeName: "box", monotonic: () => now, ...ttls, signal: never() });
  const user = await reviews.reviewToken(bootstrap);
  assertEquals(user?.name, `system:bootstrap:${bootstrap.split(".")[0]}`);
  assertEquals(await reviews.reviewToken("nobody's"), undefined);
  assertEquals(await reviews.reviewToken("nobody's"), undefined);
  assertEquals(await reviews.reviewToken(bootstrap), user);
  assertEquals(cluster.requests.length, 2);
  now = 120_001;
  await reviews.reviewToken(bootstrap);
  assertEquals(cluster.requests.length, 3);
});

Deno.test("many unknown tokens at once wait for their turns, and who comes after them is asked about, too", async () => {
  const answering = Promise.withResolvers<void>();
  let open = 0;
  let most = 0;
  let refused = 0;
  const ask = async () => {
    most = Math.max(most, ++open);
    await answering.promise;
    open--;
    return { status: { authenticated: true, user: { username: "somebody" } } };
  };
  const reviews = createReviews({
    ...{ api: { ask }, nodeName: "box", monotonic: () => 0, ...ttls, signal: never() },
  });
  const strangers = Promise.allSettled(
    Array.from({ length: 400 }, (_, i) => reviews.reviewToken(`token-${i}`).catch(() => refused++)),
  );
  await until("there are too many", () => refused === 400 - 16 - 256);
  answering.resolve();
  await strangers;
  assertEquals([most, refused], [16, 128]);
  assertEquals((await reviews.reviewToken("token-400"))?.name, "somebody");
});
