import { assertEquals } from "@std/assert";
import { freeRange, idPool, idRangeText, parseIdRange } from "../../../../agent/model/user_namespace.ts";

const k = 65_536;
const pool = (subuid?: string, subgid = subuid, perPod = k, maxPods = 2) => {
  const found = idPool({ subuid, subgid }, perPod, maxPods);
  return "error" in found ? found.error : [found.first, found.length];
};

Deno.test("hostUsers: ids come from the user kubelet in /etc/subuid and /etc/subgid, else from above the host's", () => {
  assertEquals(pool(), [k, 2 * k]);
  assertEquals(pool("root:1:2\nkubeletx:1:2\n"), [k, 2 * k]);
  assertEquals(pool(undefined, undefined, 2 * k), [2 * k, 4 * k]);
  assertEquals(pool(`other:1:2\nkubelet:${3 * k}:${7 * k}\n`), [3 * k, 7 * k]);
  const of = "the ids of user kubelet in /etc/subuid and /etc/subgid";
  assertEquals(pool(`kubelet:${k}:${2 * k}`, ""), `${of} differ`);
  assertEquals(pool("", `kubelet:${k}:${2 * k}`), `${of} are not one range in each`);
  assertEquals(pool(`kubelet:${k}:${k}\nkubelet:${4 * k}:${k}`), `${of} are not one range in each`);
  assertEquals(
    pool(`kubelet:1000:${2 * k}`),
    `${of} begin at 1000 and are ${2 * k}: expected multiples of ${k}`,
  );
  assertEquals(pool(`kubelet:0:${2 * k}`), `${of} begin at 0 and are ${2 * k}: expected multiples of ${k}`);
  assertEquals(pool(`kubelet:${k}:${k}`), `${of} suffice for 1 pods: expected enough for maxPods, 2`);
});

Deno.test("hostUsers: each pod has the lowest range that overlaps no other", () => {
  const all = { first: k, length: 3 * k, perPod: k };
  const at = (first: number, length = k) => ({ first, length });
  assertEquals(freeRange(all, []), at(k));
  assertEquals(freeRange(all, [at(k), at(3 * k)]), at(2 * k));
  assertEquals(freeRange(all, [at(k + 1, 1), at(2 * k - 1, 2)]), at(3 * k));
  assertEquals(freeRange(all, [at(k, 3 * k)]), undefined);
});

Deno.test("hostUsers: a range is written and read; what is no range is none", () => {
  assertEquals(parseIdRange(idRangeText({ first: k, length: k })), { first: k, length: k });
  assertEquals(["", "1", "1:2:3", "-1:2", "x:y"].map(parseIdRange), Array(5).fill(undefined));
  assertEquals(parseIdRange(undefined), undefined);
});
