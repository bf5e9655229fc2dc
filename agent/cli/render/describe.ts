/** One pod told in full, as kubectl describe does. Pure. Not for: its containers (describe_container.ts). */
import { formatProblem, type Problem } from "../../model/errors.ts";
import type { Container, Event, Pod, PodCondition, Toleration, Volume } from "../../model/gen/v1.ts";
import type { ProbeReport } from "../../model/probe_report.ts";
import { NETWORK_STATUS } from "../../model/networks.ts";
import { networkFields } from "./cni.ts";
import { describeContainer, describeTime } from "./describe_container.ts";
import { ageOf } from "./duration.ts";
import { type Field, formatFields, keyed } from "./fields.ts";
import { cell, formatTable, indentLines, type Paint, printable } from "./text.ts";

export interface PodStory {
  pod: Pod;
  /** Of this pod, oldest first. */
  events: readonly Event[];
  /** Of the file that describes it. */
  problems: readonly Problem[];
  /** What its probes were answered last. */
  probes: readonly ProbeReport[];
  now: number;
}

function headFields(pod: Pod): Field[] {
  const { metadata = {}, spec, status = {} } = pod;
  const { [NETWORK_STATUS]: networks, ...annotations } = metadata.annotations ?? {};
  const given = (name: string, value: string | undefined): Field[] => value ? [[name, value]] : [];
  return [
    ["Name", metadata.name ?? ""],
    ["Namespace", metadata.namespace ?? ""],
    ["Priority", String(spec?.priority ?? 0)],
    ...given("Priority Class Name", spec?.priorityClassName),
    ...given("Runtime Class Name", spec?.runtimeClassName),
    ["Node", `${spec?.nodeName || "<none>"}${status.hostIP ? `/${status.hostIP}` : ""}`],
    ["Start Time", describeTime(status.startTime)],
    keyed("Labels", metadata.labels, "="),
    keyed("Annotations", annotations, ": "),
    ["Status", metadata.deletionTimestamp === undefined ? status.phase ?? "Unknown" : "Terminating"],
    ...given("Reason", status.reason),
    ...given("Message", status.message),
    ["IP", status.podIP ?? ""],
    ["IPs", status.podIPs?.length ? status.podIPs.map(({ ip }): Field => ["IP", ip]) : "<none>"],
    ...networkFields(networks),
  ];
}

function conditions(list: readonly PodCondition[] | undefined, paint: Paint): string {
  if (list === undefined || list.length === 0) return "";
  const rows = list.map(({ type, status, reason, message }) => [
    type,
    cell(status, status === "True" ? "green" : "yellow"),
    [reason, message].filter((text) => text).join(": "),
  ]);
  return "Conditions:\n" + formatTable(["Type", "Status", ""], rows, paint, { indent: "  " });
}

/** Words for the kinds of volumes, as kubectl says them; other kinds go by their field's name. */
function volumeFields(volume: Volume): Field[] {
  const { emptyDir, hostPath, configMap, secret, persistentVolumeClaim: claim, projected } = volume;
  if (emptyDir) {
    return [
      ["Type", "EmptyDir (a temporary directory that shares a pod's lifetime)"],
      ["Medium", emptyDir.medium ?? ""],
      ["SizeLimit", emptyDir.sizeLimit ?? "<unset>"],
    ];
  }
  if (hostPath) {
    return [
      ["Type", "HostPath (bare host directory volume)"],
      ["Path", hostPath.path],
      ["HostPathType", hostPath.type ?? ""],
    ];
  }
  if (configMap) {
    return [
      ["Type", "ConfigMap (a volume populated by a ConfigMap)"],
      ["Name", configMap.name ?? ""],
      ["Optional", String(configMap.optional ?? false)],
    ];
  }
  if (secret) {
    return [
      ["Type", "Secret (a volume populated by a Secret)"],
      ["SecretName", secret.secretName ?? ""],
      ["Optional", String(secret.optional ?? false)],
    ];
  }
  if (claim) return [["Type", "PersistentVolumeClaim"], ["ClaimName", claim.claimName]];
  if (projected) return [["Type", "Projected (a volume that contains injected data from multiple sources)"]];
  return [["Type", Object.keys(volume).find((key) => key !== "name") ?? "<unknown>"]];
}

function eventTable(events: readonly Event[], now: number, paint: Paint): string {
  if (events.length === 0) return "Events:  <none>\n";
  const age = (event: Event) => {
    const last = ageOf(event.lastTimestamp, now);
    return (event.count ?? 1) > 1
      ? `${last} (x${event.count} over ${ageOf(event.firstTimestamp, now)})`
      : last;
  };
  const rows = events.map((event) => [
    cell(event.type ?? "", event.type === "Warning" ? "yellow" : undefined),
    event.reason ?? "",
    age(event),
    event.source?.component ?? "",
    event.message ?? "",
  ]);
  const rule = ["----", "------", "----", "----", "-------"];
  return "Events:\n" +
    formatTable(["Type", "Reason", "Age", "From", "Message"], [rule, ...rows], paint, {
      indent: "  ",
      gap: 2,
    });
}

/** `key=value:Effect op=Exists for 300s`. */
function tolerationText({ key, value, effect, operator, tolerationSeconds: seconds }: Toleration): string {
  return (key ?? "") + (value ? `=${value}` : "") + (effect ? `:${effect}` : "") +
    (operator === "Exists" ? " op=Exists" : "") + (seconds === undefined ? "" : ` for ${seconds}s`);
}

function problemLines(problems: readonly Problem[], paint: Paint): string {
  if (problems.length === 0) return "";
  const texts = problems.map((p) =>
    paint(printable(formatProblem(p)), p.severity === "error" ? "red" : "yellow")
  );
  return "Problems:\n" + indentLines(texts.join("\n") + "\n", "  ");
}

export function describePod({ pod, events, problems, probes, now }: PodStory, paint: Paint): string {
  const { spec, status = {} } = pod;
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = status;
  const statuses = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
  const containers = (list: readonly Container[]): Field[] =>
    list.map((container): Field => {
      const found = statuses.find((s) => s.name === container.name);
      return [container.name, describeContainer(container, found, probes)];
    });
  const head = formatFields(headFields(pod));
  const body = formatFields([
    ...spec?.initContainers?.length ? [["Init Containers", containers(spec.initContainers)] as const] : [],
    ["Containers", containers(spec?.containers ?? [])],
    ...spec?.ephemeralContainers?.length
      ? [["Ephemeral Containers", containers(spec.ephemeralContainers)] as const]
      : [],
  ]);
  const tail = formatFields([
    ["Volumes", spec?.volumes?.length ? spec.volumes.map((v): Field => [v.name, volumeFields(v)]) : "<none>"],
    ["QoS Class", status.qosClass ?? ""],
    ["Restart Policy", spec?.restartPolicy ?? "Always"],
    keyed("Node-Selectors", spec?.nodeSelector, "="),
    ["Tolerations", spec?.tolerations?.map(tolerationText).join("\n") || "<none>"],
  ]);
  return head + body + conditions(status.conditions, paint) + tail + problemLines(problems, paint) +
    eventTable(events, now, paint);
}
