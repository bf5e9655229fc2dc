import { assert, assertEquals } from "@std/assert";
import { findContainerd } from "../../../../plugins/containerd/processes.ts";
import { endProcess, isAlive, parseStat, type RunningProcess } from "../../../../plugins/processes/proc.ts";

const FIELDS = "S 1 42 42 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 9 0 98765 1000 2000";

Deno.test("a process may call itself anything", () => {
  assertEquals(parseStat(`42 (containerd) ${FIELDS}`), {
    state: "S",
    ppid: 1,
    session: 42,
    startTime: "98765",
  });
  assertEquals(parseStat(`42 (a) R 9 (b)) ${FIELDS}`), {
    state: "S",
    ppid: 1,
    session: 42,
    startTime: "98765",
  });
  assertEquals(parseStat(""), undefined);
  assertEquals(parseStat("42 (short) S 1"), undefined);
});

Deno.test("containerd is found by its configuration alone, and ends only as the one that was found", async () => {
  const configPath = await Deno.makeTempFile({ suffix: ".toml" });
  const child = new Deno.Command("bash", {
    args: ["-c", `exec -a containerd bash -c 'read -r line' --config "$0"`, configPath],
    stdin: "piped",
    stdout: "null",
  }).spawn();
  try {
    let found: RunningProcess | undefined;
    while (found === undefined) {
      found = findContainerd(configPath);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assertEquals(found.pid, child.pid);
    assertEquals(findContainerd(`${configPath}.other`), undefined);
    assert(!isAlive({ ...found, startTime: "1" }), "the same number is not the same process");
    await endProcess({ ...found, startTime: "1" }, 100);
    assert(isAlive(found), "an impostor's record kills nobody");
    await endProcess(found, 5000);
    assert(!isAlive(found));
  } finally {
    await child.stdin.close().catch(() => undefined);
    await child.status;
    await Deno.remove(configPath);
  }
});
