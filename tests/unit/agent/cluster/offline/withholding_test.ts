/** Pods that end because the API server is silent, and run again. */
import { assertEquals } from "@std/assert";
import { createWithholding } from "../../../../../agent/cluster/offline/withholding.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { Snapshot } from "../../../../../agent/model/wish.ts";
import { until } from "../../../../fakes/until.ts";
import { podOf, snapshotOf } from "./world.ts";

async function lab(
  work: (lab: {
    silence: ReturnType<typeof createWithholding>;
    shown(): string[];
    isCertain(): boolean;
    time: { ms: number };
    wanted: { uids: string[]; fails: boolean; asked: number };
  }) => Promise<void>,
): Promise<void> {
  const leaving = new AbortController();
  const time = { ms: 0 };
  const wanted = { uids: ["web-uid"], fails: false, asked: 0 };
  let last: Snapshot | undefined;
  const silence = createWithholding({
    rules: { maxSilence: 60_000, obeyTolerations: false },
    monotonic: () => time.ms + performance.now(),
    log: silentLog,
    publish: (snapshot) => last = snapshot,
    isWanted({ uid }) {
      wanted.asked++;
      return wanted.fails ? Promise.reject(new Error("500")) : Promise.resolve(wanted.uids.includes(uid));
    },
  });
  const running = silence.run(leaving.signal);
  try {
    await work({
      silence,
      isCertain: () => last?.readable !== false,
      shown: () => [...last?.pods.keys() ?? []],
      time,
      wanted,
    });
  } finally {
    leaving.abort();
    await running;
  }
}

const both = () => snapshotOf([podOf("web"), podOf("moved")]);

Deno.test("after too long a silence pods end here; those that are still wanted run again, once it has said so", () =>
  lab(async ({ silence, shown, time, wanted }) => {
    silence.heard();
    silence.publish(both());
    assertEquals(shown(), ["default/web", "default/moved"]);
    time.ms += 59_950;
    await until("they are stopped", () => shown().length === 0);
    silence.heard();
    await until("one runs again", () => shown().length === 1);
    assertEquals([shown(), wanted.asked], [["default/web"], 2]);
    silence.publish(snapshotOf([podOf("web")]));
    assertEquals(shown(), ["default/web"]);
  }));

Deno.test("after a start they wait for its first word, for nobody knows how long it was silent; what runs ends in time", () =>
  lab(async ({ silence, shown, time, isCertain }) => {
    silence.publish({ ...both(), readable: false });
    assertEquals([shown(), isCertain()], [[], false]);
    time.ms += 60_000;
    silence.publish({ ...both(), readable: false });
    assertEquals([shown(), isCertain()], [[], true]);
    silence.heard();
    await until("one runs", () => shown().length === 1);
  }));

Deno.test("where it cannot say, they are asked about again", () =>
  lab(async ({ silence, shown, time, wanted }) => {
    wanted.fails = true;
    silence.publish(both());
    silence.heard();
    await until("it was asked", () => wanted.asked === 2);
    wanted.fails = false;
    time.ms += 10_000;
    silence.publish(both());
    await until("one runs", () => shown().length === 1);
  }));

Deno.test("a pod that is to be deleted is shown, so that its deletion completes", () =>
  lab(({ silence, shown }) => {
    silence.publish(snapshotOf([podOf("web", { deletionTimestamp: "2026-01-01T00:00:00Z" }), podOf("b")]));
    return Promise.resolve(assertEquals(shown(), ["default/web"]));
  }));
