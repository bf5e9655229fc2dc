/** The agent at one look. Pure. */
import { formatProblem, type Problem } from "../../model/errors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import type { AgentStatus, ClusterStatus, Condition } from "../../model/status_types.ts";
import { isDeviceResource } from "../../model/devices.ts";
import { humanDuration } from "./duration.ts";
import type { DeviceItem } from "./tables.ts";
import { podHead, podRow, podStatusText } from "./pods.ts";
import { formatTable, indentLines, oneLine, type Paint, printable } from "./text.ts";

export interface Look {
  status: AgentStatus;
  problems: readonly Problem[];
  pods: readonly Pod[];
  devices: readonly DeviceItem[];
  now: number;
}

const shownProblems = 5;

/** Pressure conditions are good when False, all others when True. */
const isGood = ({ type, status }: Condition): boolean =>
  status === (type.endsWith("Pressure") ? "False" : "True");

function conditionText(condition: Condition, paint: Paint): string {
  if (isGood(condition)) {
    return paint(condition.type.endsWith("Pressure") ? `no ${condition.type}` : condition.type, "green");
  }
  const why = [condition.reason, condition.message].filter((text) => text).join(": ");
  return paint(oneLine(`${condition.type}=${condition.status}${why === "" ? "" : ` (${why})`}`), "red");
}

function clusterText(cluster: ClusterStatus, paint: Paint): string {
  const { server, answers, message, registered, ready, unschedulable } = cluster;
  const why = message === undefined ? "" : `: ${oneLine(printable(message))}`;
  return [
    `${server || "API server not known"} (${
      answers ? paint("answers", "green") : paint(`no answer${why}`, "red")
    })`,
    !registered
      ? paint("node not registered", "red")
      : ready
      ? paint("node Ready", "green")
      : paint("node NotReady", "red"),
    ...(unschedulable ? [paint("SchedulingDisabled", "yellow")] : []),
  ].join(", ");
}

function problemCount(problems: readonly Problem[], paint: Paint): string {
  if (problems.length === 0) return paint("none", "green");
  const count = (severity: Problem["severity"]) => problems.filter((p) => p.severity === severity).length;
  const [errors, warnings] = [count("error"), count("warning")];
  const parts = [
    ...errors > 0 ? [paint(`${errors} error${errors === 1 ? "" : "s"}`, "red")] : [],
    ...warnings > 0 ? [paint(`${warnings} warning${warnings === 1 ? "" : "s"}`, "yellow")] : [],
  ];
  return parts.join(", ");
}

function problemLines(problems: readonly Problem[], paint: Paint): string {
  const ordered = [...problems].sort((a, b) =>
    Number(b.severity === "error") - Number(a.severity === "error")
  );
  const first = ordered.slice(0, shownProblems).map((problem) =>
    paint(printable(formatProblem(problem)), problem.severity === "error" ? "red" : "yellow")
  );
  const more = problems.length - first.length;
  const rest = more > 0 ? [`… and ${more} more: agent get problems`] : [];
  return indentLines([...first, ...rest].map((line) => line + "\n").join(""), "  ");
}

function podCount(pods: readonly Pod[]): string {
  if (pods.length === 0) return "none";
  const well =
    pods.filter((pod) => ["Running", "Completed", "Succeeded"].includes(podStatusText(pod))).length;
  return well === pods.length ? `${pods.length}` : `${pods.length}, ${pods.length - well} of them not well`;
}

/** What every host has needs no line of its own as long as nobody uses it. */
const builtin = "agent.local/";

/** A line for each resource that is made of devices; "" where there is none to tell of. */
function deviceLines({ status: { capacity, allocatable }, devices }: Look, paint: Paint): string {
  const used = new Map<string, number>();
  for (const { resource, shares, usedBy } of devices) {
    // Init containers leave their devices to the containers after them: one may have several users in turn.
    used.set(resource, (used.get(resource) ?? 0) + Math.min(shares, usedBy.length));
  }
  const names = [...new Set([...Object.keys(capacity).filter(isDeviceResource), ...used.keys()])].sort();
  const rows = names.filter((name) => (used.get(name) ?? 0) > 0 || !name.startsWith(builtin)).map((name) => [
    name,
    capacity[name] ?? "0",
    allocatable[name] ?? "0",
    String(used.get(name) ?? 0),
  ]);
  if (rows.length === 0) return "";
  const head = ["RESOURCE", "CAPACITY", "ALLOCATABLE", "IN USE"];
  return paint("Devices".padEnd(12), "bold") + "agent get devices\n" +
    formatTable(head, rows, paint, { indent: "  " });
}

export function renderStatus(look: Look, paint: Paint): string {
  const { status, problems, pods, now } = look;
  const { runtime, paths } = status;
  const endpoint = runtime.managed ? `${runtime.endpoint}, supervised by this agent` : runtime.endpoint;
  const name = runtime.name === "" ? "unknown" : `${runtime.name} ${runtime.version}`;
  const rows: (readonly [string, string])[] = [
    ["Node", `${status.nodeName} (agent ${status.version}, up ${humanDuration(now - status.startedAt)})`],
    ["Runtime", `${name} (${endpoint})`],
    ...(status.cluster === undefined ? [] : [["Cluster", clusterText(status.cluster, paint)] as const]),
    ...(status.kubeletApi === undefined ? [] : [["Kubelet API", status.kubeletApi] as const]),
    ["Addresses", status.addresses.join(", ") || "none"],
    [
      "Conditions",
      status.conditions.map((condition) => conditionText(condition, paint)).join(", ") || "none",
    ],
    ["Manifests", paths.manifests],
    ["Images", paths.images],
    ["Logs", paths.logs],
    ["Problems", problemCount(problems, paint)],
  ];
  const head = rows.map(([name, value]) => paint(name.padEnd(12), "bold") + value + "\n").join("");
  const options = { wide: true, namespaces: true, now };
  const table = pods.length === 0
    ? ""
    : "\n" + formatTable(podHead(options), pods.map((pod) => podRow(pod, options)), paint);
  return head + problemLines(problems, paint) + deviceLines(look, paint) + paint("Pods".padEnd(12), "bold") +
    podCount(pods) + "\n" +
    table;
}
