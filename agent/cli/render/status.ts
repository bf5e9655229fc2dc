/** The agent at one look. Pure. */
import { formatProblem, type Problem } from "../../model/errors.ts";
import type { Pod } from "../../model/gen/v1.ts";
import type { AgentStatus, Condition } from "../../model/status_types.ts";
import { humanDuration } from "./duration.ts";
import { podHead, podRow, podStatusText } from "./pods.ts";
import { formatTable, indentLines, oneLine, type Paint, printable } from "./text.ts";

export interface Look {
  status: AgentStatus;
  problems: readonly Problem[];
  pods: readonly Pod[];
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

export function renderStatus({ status, problems, pods, now }: Look, paint: Paint): string {
  const { runtime, paths } = status;
  const endpoint = runtime.managed ? `${runtime.endpoint}, supervised by this agent` : runtime.endpoint;
  const name = runtime.name === "" ? "unknown" : `${runtime.name} ${runtime.version}`;
  const rows: (readonly [string, string])[] = [
    ["Node", `${status.nodeName} (agent ${status.version}, up ${humanDuration(now - status.startedAt)})`],
    ["Runtime", `${name} (${endpoint})`],
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
  return head + problemLines(problems, paint) + paint("Pods".padEnd(12), "bold") + podCount(pods) + "\n" +
    table;
}
