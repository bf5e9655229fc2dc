import { assert, assertEquals } from "@std/assert";
import { parsePodLogQuery } from "../../../../agent/model/pod_log_query.ts";

const now = Date.parse("2026-03-01T12:00:00Z");
const parse = (query: string) => parsePodLogQuery(new URLSearchParams(query), now);
const plain = { follow: false, timestamps: false, previous: false };

Deno.test("every option of a log request", () => {
  assertEquals(parse(""), plain);
  assertEquals(parse("follow=true&timestamps=1&previous=yes&insecureSkipTLSVerifyBackend=true"), {
    follow: true,
    timestamps: true,
    previous: true,
  });
  assertEquals(parse("follow&timestamps=False&previous=0"), { ...plain, follow: true });
  assertEquals(parse("tailLines=0&limitBytes=1&sinceSeconds=60"), {
    ...plain,
    tailLines: 0,
    limitBytes: 1,
    sinceMs: now - 60_000,
  });
  assertEquals(parse("sinceTime=2026-03-01T11:00:00.5%2B01:00"), { ...plain, sinceMs: now - 7_199_500 });
  assertEquals(parse("tail=all&tailLines=3"), plain);
  assertEquals(parse("tail=2&tailLines=3"), { ...plain, tailLines: 2 });
  assertEquals(parse("stream=All"), plain);
  assertEquals(parse("stream=Stderr"), { ...plain, stream: "stderr" });
});

Deno.test("what does not decode is 400, what is not allowed is 422", () => {
  const status = (query: string) => {
    const parsed = parse(query);
    return "status" in parsed ? parsed.status : "taken";
  };
  const undecodable = [
    "tailLines=x",
    "tailLines=",
    "limitBytes=1.5",
    "sinceSeconds=1e3",
    "sinceTime=yesterday",
  ];
  for (
    const query of [...undecodable, "tailLines=9223372036854775808", "tail=some", "sinceTime=2026-03-01"]
  ) {
    assertEquals([query, status(query)], [query, 400]);
  }
  const refused = [
    "tailLines=-1",
    "limitBytes=0",
    "sinceSeconds=0",
    "stream=stdout",
    "stream=Stdout&tailLines=1",
  ];
  for (const query of [...refused, "sinceSeconds=1&sinceTime=2026-03-01T12:00:00Z"]) {
    assertEquals([query, status(query)], [query, 422]);
  }
});

Deno.test("no query, however odd, is anything but options or a refusal", () => {
  const keys = [
    "follow",
    "tailLines",
    "tail",
    "sinceSeconds",
    "sinceTime",
    "limitBytes",
    "stream",
    "__proto__",
  ];
  const values = [
    "",
    "0",
    "-1",
    "1",
    "true",
    "NaN",
    "1e999",
    "+7",
    "9".repeat(400),
    "2026-02-31T00:00:00Z",
    "\0",
    "All",
    "__proto__",
  ];
  let seed = 1;
  const next = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  for (let i = 0; i < 5000; i++) {
    const query = new URLSearchParams();
    for (let n = next(6); n > 0; n--) query.append(keys[next(keys.length)]!, values[next(values.length)]!);
    const parsed = parsePodLogQuery(query, now);
    if ("status" in parsed) continue;
    for (const number of [parsed.tailLines ?? 0, parsed.limitBytes ?? 1, parsed.sinceMs ?? 0]) {
      assert(Number.isFinite(number), `${query}`);
    }
    assert((parsed.tailLines ?? 0) >= 0 && (parsed.limitBytes ?? 1) >= 1, `${query}`);
  }
});
