import { assertEquals, assertStringIncludes } from "@std/assert";
import { createLab } from "./lab.ts";

const line = ["join", "https://192.0.2.1:6443/", "--token", "abcdef.0123456789abcdef"];

Deno.test("agent join: kubeadm's words, steps on standard error, what to run next on standard output", async () => {
  await using lab = await createLab();
  const pins = "--discovery-token-ca-cert-hash=sha256:a,sha256:b";
  const ran = await lab.agent(...line, pins, "--ignore-preflight-errors", "Swap,Port-10250", "--wait=90s");
  assertEquals(ran.code, 0);
  assertEquals(ran.out, "kubectl get nodes\n");
  assertEquals(ran.err, "… discovery: looking\n✓ discovery: found\n    a note\n");
  const [, asked] = lab.asked.at(-1) as [string, Record<string, unknown>];
  const { endpoint, pins: hashes, ignorePreflightErrors, wait } = asked;
  assertEquals({ endpoint, hashes, ignorePreflightErrors, wait }, {
    endpoint: "192.0.2.1:6443",
    hashes: ["sha256:a", "sha256:b"],
    ignorePreflightErrors: ["Swap", "Port-10250"],
    wait: 90_000,
  });
});

Deno.test("agent join -o json tells all of it; what cannot be typed together is said", async () => {
  await using lab = await createLab();
  const json = JSON.parse((await lab.agent(...line, "-o", "json")).out);
  assertEquals([json.server, json.steps[0].state], ["https://c:6443", "done"]);
  const both = await lab.agent(...line, "--config", "j.yaml");
  assertEquals(both.code, 2);
  assertStringIncludes(both.err, "either --config or --token");
  assertStringIncludes((await lab.agent("join", "--skip-phases=all")).err, 'found "all"');
  assertStringIncludes((await lab.agent("join", "--help")).out, "--discovery-token-ca-cert-hash");
});

Deno.test("agent reset asks, and where nobody can answer it wants --force", async () => {
  await using lab = await createLab();
  const refused = await lab.agent("reset");
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.err, "--force");
  const forced = await lab.agent("reset", "--force");
  assertEquals([forced.code, forced.out], [0, "gone\n"]);
});
