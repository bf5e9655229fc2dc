/** Rules for one container. Source: kubernetes pkg/apis/core/validation. Not for: the pod around it (validate_pod.ts). */
import type { Container, ContainerPort, LifecycleHandler, Probe, Volume } from "./gen/v1.ts";
import { type FieldPath, type Report } from "./finding.ts";
import { dnsLabel, headerName, ipAddress, portName } from "./names.ts";
import {
  checkExactlyOne,
  checkImage,
  checkName,
  checkOneOf,
  checkRange,
  checkUnique,
  elements,
  pullPolicies,
} from "./rules.ts";
import { validateEnv } from "./validate_env.ts";
import { validateDevices, validateMounts } from "./validate_mount.ts";
import { validateResources } from "./validate_resources.ts";

const ports = [1, 65535] as const;

export function validateContainer(
  container: Container,
  at: FieldPath,
  volumes: readonly Volume[],
  report: Report,
): void {
  checkName(container.name, dnsLabel, [...at, "name"], report);
  checkImage(container.image, [...at, "image"], report);
  checkOneOf(
    container.imagePullPolicy,
    pullPolicies,
    [...at, "imagePullPolicy"],
    report,
  );
  const policies = ["File", "FallbackToLogsOnError"];
  checkOneOf(container.terminationMessagePolicy, policies, [...at, "terminationMessagePolicy"], report);
  validatePorts(container.ports, at, report);
  validateEnv(container, at, volumes, report);
  validateMounts(container, at, volumes, report);
  validateDevices(container, at, volumes, report);
  validateResources(container.resources, [...at, "resources"], report);
  for (const kind of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
    if (container[kind] !== undefined) validateProbe(container[kind], [...at, kind], kind, report);
  }
  for (const hook of ["postStart", "preStop"] as const) {
    const handler = container.lifecycle?.[hook];
    if (handler !== undefined) validateHandler(handler, [...at, "lifecycle", hook], "hook", report);
  }
}

function validatePorts(list: readonly ContainerPort[] | undefined, at: FieldPath, report: Report): void {
  const names = new Map<string, FieldPath>();
  for (const [i, port] of elements(list)) {
    const here = [...at, "ports", i];
    if (port.name) checkName(port.name, portName, [...here, "name"], report);
    checkUnique(port.name || undefined, names, [...here, "name"], "the port name", report);
    checkRange(port.containerPort, ports, [...here, "containerPort"], report);
    if (port.hostPort !== 0) checkRange(port.hostPort, ports, [...here, "hostPort"], report);
    checkOneOf(port.protocol, ["TCP", "UDP", "SCTP"], [...here, "protocol"], report);
    if (port.hostIP) checkName(port.hostIP, ipAddress, [...here, "hostIP"], report);
  }
}

function validateProbe(probe: Probe, at: FieldPath, kind: string, report: Report): void {
  validateHandler(probe, at, "probe", report);
  const numbers = [
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "successThreshold",
    "failureThreshold",
  ];
  for (const field of numbers as (keyof Probe)[]) {
    checkRange(probe[field] as number | undefined, [0, Infinity], [...at, field], report);
  }
  if (kind !== "readinessProbe") {
    checkRange(probe.successThreshold, [0, 1], [...at, "successThreshold"], report);
  } else if (probe.terminationGracePeriodSeconds !== undefined) {
    report([...at, "terminationGracePeriodSeconds"], "may not be set: a readinessProbe ends nothing");
  }
  checkRange(
    probe.terminationGracePeriodSeconds,
    [1, Infinity],
    [...at, "terminationGracePeriodSeconds"],
    report,
  );
}

const handlers = {
  probe: ["exec", "httpGet", "tcpSocket", "grpc"],
  hook: ["exec", "httpGet", "tcpSocket", "sleep"],
};

function validateHandler(
  handler: LifecycleHandler & Probe,
  at: FieldPath,
  use: keyof typeof handlers,
  report: Report,
): void {
  checkExactlyOne(handler, handlers[use], at, report);
  if (handler.exec !== undefined && (handler.exec.command ?? []).length === 0) {
    report([...at, "exec", "command"], "required: expected a command");
  }
  for (const field of ["httpGet", "tcpSocket"] as const) {
    const port = handler[field]?.port;
    if (typeof port === "number") checkRange(port, ports, [...at, field, "port"], report);
    else checkName(port, portName, [...at, field, "port"], report);
  }
  checkOneOf(handler.httpGet?.scheme, ["HTTP", "HTTPS", ""], [...at, "httpGet", "scheme"], report);
  for (const [i, header] of elements(handler.httpGet?.httpHeaders)) {
    checkName(header.name, headerName, [...at, "httpGet", "httpHeaders", i, "name"], report);
  }
  checkRange(handler.grpc?.port, ports, [...at, "grpc", "port"], report);
}
