/** Pauses of watches, cut short when the server is back. */
import { assert, assertEquals } from "@std/assert";
import { createRest } from "../../../../../agent/cluster/client/rest.ts";
import { createListeners } from "../../../../../agent/lib/listeners.ts";
import { pause } from "../../../../../agent/lib/pause.ts";

Deno.test("a thousand nodes whose server is back return spread over two seconds, and no later than they would have", async () => {
  const back = createListeners<void>();
  const { signal } = new AbortController();
  const pauses: number[][] = [];
  let [next, returned] = [0, 0];
  const rests = Array.from({ length: 1000 }, (_, i) => {
    const mine: number[] = [];
    pauses.push(mine);
    const rest = createRest({
      back,
      returned: () => returned++,
      random: () => next++ / 1000,
      wait(ms, signal) {
        mine.push(ms);
        return mine.length === 1 ? pause(ms, signal) : Promise.resolve();
      },
    }, signal);
    return rest(i === 0 ? 100 : 30_000);
  });
  back.tell();
  await Promise.all(rests);
  const spread = pauses.slice(1).map(([, ms]) => ms!);
  assertEquals(new Set(spread.map((ms) => Math.floor(ms / 500))), new Set([0, 1, 2, 3]));
  assert(pauses[0]![1] === undefined || pauses[0]![1] <= 100);
  assertEquals(returned, 1000);
});

Deno.test("a rest ends with the signal, and nobody wakes what does not rest", async () => {
  const back = createListeners<void>();
  const leaving = new AbortController();
  let returned = 0;
  const rest = createRest(
    { back, returned: () => returned++, random: () => 1, wait: pause },
    leaving.signal,
  );
  back.tell();
  const resting = rest(600_000);
  leaving.abort();
  await resting;
  await rest(600_000);
  back.tell();
  assertEquals(returned, 1);
});
