import { assertEquals, assertMatch } from "@std/assert";
import { sharedDevices } from "./expect.ts";

const given = (uid: string, ...ids: string[]) => ({ uid, container: "main", ids });

Deno.test("a device is given once on record, and told to one living container", () => {
  const users = [{ id: "c1", ids: ["a"] }, { id: "c2", ids: ["b"] }];
  const record = [given("u1", "a"), given("u2", "b")];
  assertEquals(sharedDevices(users, record), []);
  const [told, ...more] = sharedDevices([...users, { id: "c3", ids: ["b"] }], record);
  assertMatch(told!, /^device b is given to more than one: .*"c2".*"c3"/);
  assertEquals(more, []);
  assertMatch(sharedDevices([], [...record, given("u3", "c", "a")]).join(), /^device a .*"u1".*"u3"/);
});
