import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UsageError } from "../../../../agent/cli/command.ts";
import { parseWaitedFor } from "../../../../agent/cli/wait_command.ts";
import { noObjects } from "../../../../agent/model/wish.ts";
import { createLab, runningPod } from "./lab.ts";

Deno.test("what can be waited for: conditions, values, coming and going", () => {
  const pod = runningPod("web");
  const fits = (word: string) => parseWaitedFor(word).fits(pod);
  const fitsNone = (word: string) => parseWaitedFor(word).fits(undefined);
  assertEquals(fits("condition=Ready"), true);
  assertEquals(fits("condition=ready=FALSE"), false);
  assertEquals(fits("condition=Other"), false);
  assertEquals([fits("delete"), fits("create")], [false, true]);
  assertEquals([fitsNone("delete"), fitsNone("create"), fitsNone("condition=Ready")], [true, false, false]);
  assertEquals(fits("jsonpath={.status.phase}=Running"), true);
  assertEquals(fits("jsonpath=.status.containerStatuses[0].restartCount=0"), true);
  assertEquals(fits("jsonpath={.status.podIP}"), true);
  assertEquals(fits("jsonpath={.status.none}"), false);
  for (const wrong of ["", "Ready", "condition=", "jsonpath=", "jsonpath={status}"]) {
    assertThrows(() => parseWaitedFor(wrong), UsageError, "--for");
  }
});

Deno.test("wait: by name and by label, what is not there, and in time", async () => {
  await using lab = await createLab();
  const base = runningPod("web");
  lab.store.putPod({ ...base, metadata: { ...base.metadata, labels: { app: "shop" } } });
  const ready = ["--for", "condition=Ready"];
  assertEquals((await lab.agent("wait", "pod/web", ...ready)).out, "pod/web condition met\n");
  assertEquals((await lab.agent("wait", "pod", "-l", "app=shop", ...ready)).out, "pod/web condition met\n");
  assertEquals((await lab.agent("wait", "pod", "gone", "--for=delete")).out, "pod/gone condition met\n");
  const missing = await lab.agent("wait", "pod", "gone", ...ready);
  assertEquals([missing.code, missing.err], [1, 'Error: pods "gone" not found in namespace default\n']);
  const late = await lab.agent("wait", "pod/web", "--for=condition=Ready=False", "--timeout=50ms");
  assertEquals(late.code, 1);
  assertStringIncludes(late.err, "default/web (Running 1/1)");
  assertEquals((await lab.agent("wait", "pod", "web")).code, 2);
  assertEquals((await lab.agent("wait", "pod", ...ready)).code, 2);
  setTimeout(() => lab.store.removePod(base.metadata!.uid!), 20);
  assertEquals((await lab.agent("wait", "pod/web", "--for=delete")).out, "pod/web condition met\n");
});

const claim = (phase: string, more: object = {}) => ({
  metadata: { name: "data", namespace: "default", ...more },
  spec: {},
  status: { phase },
});

Deno.test("wait: for a claim to have its volume, and to be gone; for a volume, which has no namespace", async () => {
  await using lab = await createLab();
  const show = (...claims: ReturnType<typeof claim>[]) =>
    lab.store.setObjects({
      ...noObjects,
      persistentVolumeClaims: new Map(claims.map((c) => ["default/data", c])),
      persistentVolumes: new Map([["disk", { metadata: { name: "disk" }, status: { phase: "Available" } }]]),
    });
  const bound = ["--for", "jsonpath={.status.phase}=Bound"];
  show(claim("Pending"));
  const late = await lab.agent("wait", "pvc/data", ...bound, "--timeout=50ms");
  assertEquals(late.code, 1);
  assertStringIncludes(late.err, "persistentvolumeclaim/data: Pending");
  const err = lab.io.err;
  lab.io.err = async (chunk) => {
    await err(chunk);
    if (String(chunk).includes("Pending")) show(claim("Bound"));
    if (String(chunk).includes("Terminating")) show();
  };
  const met = "persistentvolumeclaim/data condition met\n";
  assertEquals((await lab.agent("wait", ...bound, "pvc/data")).out, met);
  assertEquals((await lab.agent("wait", "pvc", "data", "-n", "default", ...bound)).out, met);
  show(claim("Bound", { deletionTimestamp: "2026-03-01T12:00:00Z" }));
  assertEquals((await lab.agent("wait", "--for=delete", "pvc", "data")).out, met);
  const missing = await lab.agent("wait", "pvc/data", ...bound);
  assertEquals([missing.code, missing.err], [1, 'Error: persistentvolumeclaims "data" not found\n']);
  const available = ["-n", "other", "--for=jsonpath={.status.phase}=Available"];
  assertEquals(
    (await lab.agent("wait", "pv/disk", ...available)).out,
    "persistentvolume/disk condition met\n",
  );
  assertEquals((await lab.agent("wait", "events/x", "--for=delete")).code, 2);
});
