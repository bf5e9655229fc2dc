/** One container told in full, as kubectl describe does. Pure. */
import type {
  Container,
  ContainerState,
  ContainerStatus,
  EnvFromSource,
  EnvVar,
  Probe,
  VolumeMount,
} from "../../model/gen/v1.ts";
import type { ProbeKind } from "../../model/probe.ts";
import type { ProbeReport } from "../../model/probe_report.ts";
import { type Field, listed } from "./fields.ts";
import { lastText, probeText } from "./probe_text.ts";

/** `Mon, 02 Jan 2006 15:04:05 +0000` (RFC 1123 with numeric zone), in UTC. */
export function describeTime(time: string | undefined): string {
  const at = Date.parse(time ?? "");
  return Number.isNaN(at) ? "<unknown>" : new Date(at).toUTCString().replace("GMT", "+0000");
}

function stateFields(name: string, state: ContainerState | undefined): Field[] {
  const { running, waiting, terminated } = state ?? {};
  const given = (label: string, value: string | undefined): Field[] => value ? [[`  ${label}`, value]] : [];
  if (running) return [[name, "Running"], ["  Started", describeTime(running.startedAt)]];
  if (terminated) {
    return [
      [name, "Terminated"],
      ...given("Reason", terminated.reason),
      ...given("Message", terminated.message),
      ["  Exit Code", String(terminated.exitCode)],
      ...terminated.signal ? [["  Signal", String(terminated.signal)] as const] : [],
      ["  Started", describeTime(terminated.startedAt)],
      ["  Finished", describeTime(terminated.finishedAt)],
    ];
  }
  if (waiting) {
    return [[name, "Waiting"], ...given("Reason", waiting.reason), ...given("Message", waiting.message)];
  }
  return [[name, "Waiting"]];
}

const optional = (value: boolean | undefined): string => `Optional: ${value ?? false}`;

function envField({ name, value, valueFrom }: EnvVar): Field {
  const { fieldRef, resourceFieldRef, secretKeyRef: secret, configMapKeyRef: map } = valueFrom ?? {};
  if (fieldRef) return [name, `(${fieldRef.apiVersion ?? "v1"}:${fieldRef.fieldPath})`];
  if (resourceFieldRef) {
    return [name, `(${resourceFieldRef.resource} of ${resourceFieldRef.containerName || "this container"})`];
  }
  if (secret) {
    return [
      name,
      `<set to the key '${secret.key}' in secret '${secret.name}'>  ${optional(secret.optional)}`,
    ];
  }
  if (map) {
    return [name, `<set to the key '${map.key}' of config map '${map.name}'>  ${optional(map.optional)}`];
  }
  return [name, value ?? ""];
}

function envFromText({ configMapRef: map, secretRef: secret, prefix }: EnvFromSource): string {
  const source = map ? `${map.name}  ConfigMap` : `${secret?.name}  Secret`;
  const with_ = prefix ? ` with prefix '${prefix}'` : "";
  return `${source}${with_}  ${optional(map?.optional ?? secret?.optional)}`;
}

function mountText(mount: VolumeMount): string {
  const flags = [mount.readOnly ? "ro" : "rw", ...mount.subPath ? [`path="${mount.subPath}"`] : []];
  return `${mount.mountPath} from ${mount.name} (${flags.join(",")})`;
}

const quantities = (name: string, values: Record<string, string> | undefined): Field[] =>
  values === undefined || Object.keys(values).length === 0 ? [] : [[name, Object.entries(values).sort()]];

const deviceFields = (status: ContainerStatus | undefined): Field[] =>
  (status?.allocatedResourcesStatus ?? []).map(({ name, resources = [] }) =>
    listed(`Devices of ${name}`, resources.map((r) => `${r.resourceID} (${r.health})`))
  );

/** A word with several lines takes as many. */
const wordLines = (words: readonly string[]): string[] => words.flatMap((word) => word.trimEnd().split("\n"));

function probeFields(container: Container, reports: readonly ProbeReport[]): Field[] {
  const kinds: [string, ProbeKind, Probe | undefined][] = [
    ["Liveness", "liveness", container.livenessProbe],
    ["Readiness", "readiness", container.readinessProbe],
    ["Startup", "startup", container.startupProbe],
  ];
  return kinds.flatMap(([name, kind, probe]): Field[] => {
    if (probe === undefined) return [];
    const report = reports.find((r) => r.container === container.name && r.kind === kind);
    return [
      [name, probeText(probe)],
      ...report === undefined ? [] : [["  Last Result", lastText(report, probe)] as const],
    ];
  });
}

/** @param reports of the probes of its pod, where it runs */
export function describeContainer(
  container: Container,
  status: ContainerStatus | undefined,
  reports: readonly ProbeReport[],
): Field[] {
  const ports = container.ports ?? [];
  const word = (one: string) => ports.length > 1 ? one + "s" : one;
  const portText = (pick: (port: typeof ports[number]) => number | undefined) =>
    ports.map((port) => `${pick(port) ?? 0}/${port.protocol ?? "TCP"}`).join(", ") || "<none>";
  return [
    ["Container ID", status?.containerID ?? ""],
    ["Image", container.image ?? ""],
    ["Image ID", status?.imageID ?? ""],
    [word("Port"), portText((port) => port.containerPort)],
    [word("Host Port"), portText((port) => port.hostPort)],
    ...container.command?.length ? [["Command", wordLines(container.command)] as const] : [],
    ...container.args?.length ? [["Args", wordLines(container.args)] as const] : [],
    ...stateFields("State", status?.state),
    ...status?.lastState && Object.keys(status.lastState).length > 0
      ? stateFields("Last State", status.lastState)
      : [],
    ["Ready", status?.ready ? "True" : "False"],
    ["Restart Count", String(status?.restartCount ?? 0)],
    ...quantities("Limits", container.resources?.limits),
    ...quantities("Requests", container.resources?.requests),
    ...deviceFields(status),
    ...probeFields(container, reports),
    ...container.envFrom?.length
      ? [["Environment Variables from", container.envFrom.map(envFromText)] as const]
      : [],
    ["Environment", container.env?.length ? container.env.map(envField) : "<none>"],
    listed("Mounts", (container.volumeMounts ?? []).map(mountText)),
  ];
}
