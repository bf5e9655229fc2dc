import { assertEquals } from "@std/assert";
import { watchManifests } from "../../../../agent/sources/static_dir.ts";
import type { Snapshot } from "../../../../agent/model/wish.ts";
import { createFakeHost } from "../../../fakes/host.ts";

Deno.test("without a manifest directory there are no static pods, and nobody waits for them", async () => {
  const leaving = new AbortController();
  const snapshots: Snapshot[] = [];
  const running = watchManifests({
    host: createFakeHost(),
    directory: "",
    nodeName: "node1",
    signal: leaving.signal,
    onSnapshot: (snapshot) => void snapshots.push(snapshot),
  });
  leaving.abort();
  await running;
  assertEquals(snapshots.map((s) => [s.pods.size, s.problems]), [[0, []]]);
});
