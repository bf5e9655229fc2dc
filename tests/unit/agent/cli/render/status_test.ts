import { assertStringIncludes } from "@std/assert";
import { renderStatus } from "../../../../../agent/cli/render/status.ts";
import type { AgentStatus } from "../../../../../agent/model/status_types.ts";

Deno.test("a runtime that has never answered is unknown", () => {
  const status: AgentStatus = {
    nodeName: "n",
    version: "1",
    startedAt: 0,
    addresses: [],
    labels: {},
    capacity: {},
    allocatable: {},
    runtime: { name: "", version: "", endpoint: "/run/x.sock", managed: false },
    conditions: [],
    paths: { manifests: "/m", root: "/r", logs: "/l", images: "/i" },
  };
  const text = renderStatus({ status, problems: [], pods: [], devices: [], now: 1000 }, (line) => line);
  assertStringIncludes(text, "Runtime     unknown (/run/x.sock)\n");
});
