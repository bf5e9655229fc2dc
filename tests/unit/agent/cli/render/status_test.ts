import { assertStringIncludes } from "@std/assert";
import { renderStatus } from "../../../../../agent/cli/render/status.ts";
import type { AgentStatus } from "../../../../../agent/model/status_types.ts";

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
const textOf = (more: Partial<AgentStatus>) =>
  renderStatus(
    { status: { ...status, ...more }, problems: [], pods: [], devices: [], now: 1000 },
    (line) => line,
  );

Deno.test("a runtime that has never answered is unknown", () => {
  assertStringIncludes(textOf({}), "Runtime     unknown (/run/x.sock)\n");
});

Deno.test("a node of a cluster shows how it stands there", () => {
  const cluster = {
    server: "https://c:6443",
    answers: true,
    registered: true,
    ready: true,
    unschedulable: true,
  };
  assertStringIncludes(
    textOf({ cluster }),
    "Cluster     https://c:6443 (answers), node Ready, SchedulingDisabled\n",
  );
  const away = { ...cluster, answers: false, message: "refused", ready: false, unschedulable: false };
  assertStringIncludes(
    textOf({ cluster: away }),
    "Cluster     https://c:6443 (no answer: refused), node NotReady\n",
  );
});
