/** Which images go for their age, and which to make room. */
import { assertEquals } from "@std/assert";
import {
  collectionOf,
  collectsNothing,
  type ImagePolicy,
  type ImagesFound,
  type ImageUse,
  usesSeen,
} from "../../../../agent/model/image_collection.ts";

const policy: ImagePolicy = { minimumAge: 10, maximumAge: 0, high: 85, low: 80 };
const image = (id: string, size = 100) => ({ id, size });
const of = (firstSeen: number, lastUsed = firstSeen): ImageUse => ({ firstSeen, lastUsed });

function ids(found: Partial<ImagesFound>, uses: Record<string, ImageUse>, now: number, more = {}) {
  const images = found.images ?? Object.keys(uses).map((id) => image(id));
  const whole = { images, unused: new Set(images.map(({ id }) => id)), ...found };
  const collection = collectionOf(whole, new Map(Object.entries(uses)), { ...policy, ...more }, now);
  return [collection.aged.map((i) => i.id), collection.spare.map((i) => i.id), collection.missing];
}

Deno.test("an image is as old as its last use, or as its first sight; one that is gone is forgotten", () => {
  const images = [image("used"), image("unused")];
  const first = usesSeen(new Map([["gone", of(0)]]), { images, unused: new Set(["unused"]) }, 5);
  assertEquals(Object.fromEntries(first), { used: of(5), unused: of(5) });
  const second = usesSeen(first, { images, unused: new Set(["unused"]) }, 9);
  assertEquals(Object.fromEntries(second), { used: of(5, 9), unused: of(5) });
});

Deno.test("what nobody has used for too long is removed, whatever room there is", () => {
  const uses = { old: of(0), fresh: of(0, 60), used: of(0) };
  const found = { unused: new Set(["old", "fresh"]), disk: { available: 99, capacity: 100 } };
  assertEquals(ids(found, uses, 100, { maximumAge: 50 }), [["old"], [], 0]);
  assertEquals(ids(found, uses, 50, { maximumAge: 50 }), [[], [], 0]);
  assertEquals(ids(found, uses, 1e9), [[], [], 0]);
});

Deno.test("on a disk that fills up the longest unused go, until there is room enough", () => {
  const uses = { b: of(0, 30), a: of(1, 20), c: of(0, 40), d: of(0, 20) };
  assertEquals(ids({ disk: { available: 160, capacity: 1000 } }, uses, 100), [[], [], 0]);
  assertEquals(ids({ disk: { available: 150, capacity: 1000 } }, uses, 100), [[], ["d"], 0]);
  assertEquals(ids({ disk: { available: 50, capacity: 1000 } }, uses, 100), [[], ["d", "a"], 0]);
  assertEquals(ids({ disk: { available: 50, capacity: 1000 } }, uses, 100, { high: 100 }), [[], [], 0]);
});

Deno.test("what is in use or too young stays; how much is missing then is told", () => {
  const uses = { used: of(0), young: of(95), old: of(0) };
  const found = { unused: new Set(["young", "old"]), disk: { available: 0, capacity: 1000 } };
  assertEquals(ids(found, uses, 100), [[], ["old"], 100]);
});

Deno.test("what goes for its age makes room, too", () => {
  const uses = { old: of(0), other: of(0, 90) };
  const found = { disk: { available: 150, capacity: 1000 } };
  assertEquals(ids(found, uses, 100, { maximumAge: 50 }), [["old"], [], 0]);
});

Deno.test("without an age and a limit nothing is to be done", () => {
  assertEquals(
    [policy, { ...policy, high: 100 }, { ...policy, high: 100, maximumAge: 1 }].map(collectsNothing),
    [
      false,
      true,
      false,
    ],
  );
});
