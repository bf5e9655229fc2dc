import { assert, assertEquals, assertMatch } from "@std/assert";
import { configFlags, settingsFromFlags } from "../../../../agent/config/flags.ts";
import { keyByName } from "../../../../agent/config/keys.ts";

Deno.test("no flag occurs twice, and each has the shape of help", () => {
  const names = configFlags.map((f) => f.name);
  assertEquals(names.length, new Set(names).size);
  for (const flag of configFlags) {
    assertMatch(flag.name, /^[a-z][a-z0-9-]*$/);
    assert(flag.summary.length > 0 && flag.summary.length < 100 && !flag.summary.endsWith("."), flag.name);
    if (flag.key !== undefined) assert(keyByName.has(flag.key), flag.key);
  }
});

Deno.test("every flag is accepted: it sets its key, names a file, or is warned about", () => {
  for (const flag of configFlags) {
    const { settings, problems } = settingsFromFlags({ [flag.name]: flag.kind === "boolean" ? true : "1" });
    const known = settings.length + problems.length > 0 || ["config", "config-dir"].includes(flag.name);
    assert(known, flag.name);
    for (const setting of settings) assertEquals(setting.spec.key, flag.key);
  }
});

Deno.test("a flag without effect says so, and one that is gone too", () => {
  const messages = settingsFromFlags({ "cloud-provider": "/k", "container-runtime": "remote" }).problems;
  assertEquals(messages.map((p) => [p.severity, p.file, p.message]), [
    ["warning", "flag --cloud-provider", "is not supported yet and has no effect"],
    ["warning", "flag --container-runtime", "is no flag of the kubelet any more and has no effect"],
  ]);
});

Deno.test("flags that are absent set nothing", () => {
  assertEquals(settingsFromFlags({ "root-dir": undefined, "cluster-dns": [] }), {
    settings: [],
    problems: [],
  });
});
