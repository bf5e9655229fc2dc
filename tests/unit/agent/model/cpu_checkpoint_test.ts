import { assertEquals, assertThrows } from "@std/assert";
import { formatCpuCheckpoint, parseCpuCheckpoint } from "../../../../agent/model/cpu_checkpoint.ts";

const parsed = {
  policy: "none",
  shared: new Set([1, 2, 3]),
  assignments: new Map([[
    "pod",
    new Map([["container1", new Set([4, 5, 6])], ["container2", new Set([1, 2, 3])]]),
  ]]),
};

Deno.test("files with checksums that a kubelet computed are read", () => {
  const file = (checksum: number) =>
    `{"policyName":"none","defaultCPUSet":"1-3","entries":{"pod":{"container1":"4-6","container2":"1-3"}},"checksum":${checksum}}`;
  assertEquals(parseCpuCheckpoint(file(3610638499)), parsed);
  assertEquals(parseCpuCheckpoint(file(0)), parsed, "files before checksums");
  assertThrows(() => parseCpuCheckpoint(file(1337)), TypeError, "checksum");
  const empty = parseCpuCheckpoint(
    '{"policyName":"none","defaultCPUSet":"4-6","entries":{},"checksum":354655845}',
  );
  assertEquals([empty.shared, empty.assignments], [new Set([4, 5, 6]), new Map()]);
});

Deno.test("what is written has the checksum that a kubelet expects, and is read again", () => {
  const text = formatCpuCheckpoint(parsed);
  assertEquals(
    text,
    '{"policyName":"none","defaultCpuSet":"1-3","entries":{"pod":{"container1":"4-6","container2":"1-3"}},"checksum":3610638499}',
  );
  assertEquals(parseCpuCheckpoint(text), parsed);
  const none = { policy: "static", shared: new Set([0, 1]), assignments: new Map([["gone", new Map()]]) };
  assertEquals(parseCpuCheckpoint(formatCpuCheckpoint(none)), { ...none, assignments: new Map() });
});

Deno.test("anything else is refused with what was expected", () => {
  for (
    const [text, says] of [
      ["[]", "expected an object"],
      ["{}", "policyName"],
      ['{"policyName":"static","defaultCpuSet":"x"}', "defaultCpuSet"],
      ['{"policyName":"static","defaultCpuSet":"0","entries":[]}', "entries"],
      ['{"policyName":"static","defaultCpuSet":"0","entries":{"u":"1"}}', "entries.u"],
      ['{"policyName":"static","defaultCpuSet":"0","entries":{"u":{"c":3}}}', "entries.u.c"],
      ['{"policyName":"static","defaultCpuSet":"0"}', "checksum"],
    ] as const
  ) assertThrows(() => parseCpuCheckpoint(text), TypeError, says);
});
