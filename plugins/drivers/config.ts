/**
 * Drivers that the agent runs itself, as files of `plugins.d` say: kind Driver of agent/v1alpha1. Pure. Not for: running
 * them.
 */
import { isAbsolute } from "@std/path";
import type { TypeTable } from "../../agent/model/decode.ts";
import { type DocumentKind, parseDocuments } from "../../agent/model/documents.ts";
import type { PlacedProblem, Report } from "../../agent/model/finding.ts";
import { dnsSubdomain } from "../../agent/model/names.ts";

export interface Driver {
  metadata: { name: string };
  spec: DriverSpec;
}

export interface DriverSpec {
  /** The program, an absolute path, and what comes before `args`. */
  command: readonly string[];
  args?: readonly string[];
  env?: readonly { name: string; value?: string }[];
  /** Where it serves: what an earlier one left there is removed before it starts; it runs once somebody answers. */
  socket?: string;
  /** Name or number; default root. */
  user?: string | number;
  /** Name or number; default the user's own. */
  group?: string | number;
  /** Default the root directory. */
  workingDir?: string;
  /** What becomes of it when the agent stops; default Never. */
  stop?: "WithAgent" | "Never";
  /** Between SIGTERM and SIGKILL; default 10. */
  terminationGracePeriodSeconds?: number;
}

const table: TypeTable = {
  Driver: { apiVersion: "string", kind: "string", metadata: "DriverMetadata!", spec: "DriverSpec!" },
  DriverMetadata: { name: "string!", labels: "string{}", annotations: "string{}" },
  DriverSpec: {
    command: "string[]!",
    args: "string[]",
    env: "DriverEnv[]",
    socket: "string",
    user: "intOrString",
    group: "intOrString",
    workingDir: "string",
    stop: "string",
    terminationGracePeriodSeconds: "int32",
  },
  DriverEnv: { name: "string!", value: "string" },
};

/** sun_path without its end mark, unix(7). */
const longestSocket = 107;

export const driverKind: DocumentKind<Driver> = {
  kind: "Driver",
  apiVersions: ["agent/v1alpha1"],
  table,
  check({ metadata, spec }, report) {
    const wrongName = metadata?.name === undefined ? undefined : dnsSubdomain(metadata.name);
    if (wrongName !== undefined) report(["metadata", "name"], `expected ${wrongName}`);
    if (spec !== undefined) checkSpec(spec, (path, message) => report(["spec", ...path], message));
  },
};

function checkSpec(spec: Partial<DriverSpec>, report: Report): void {
  const absolute = (path: string | undefined, ...field: (string | number)[]) => {
    if (path !== undefined && !isAbsolute(path)) report(field, "expected an absolute path");
  };
  if (spec.command?.length === 0) report(["command"], "expected a program");
  absolute(spec.command?.[0], "command", 0);
  absolute(spec.socket, "socket");
  absolute(spec.workingDir, "workingDir");
  if (new TextEncoder().encode(spec.socket ?? "").length > longestSocket) {
    report(["socket"], `expected a path of at most ${longestSocket} bytes`);
  }
  for (const [i, variable] of (spec.env ?? []).entries()) {
    if (variable?.name !== undefined && !/^[^=\0]+$/.test(variable.name)) {
      report(["env", i, "name"], "expected a name without '='");
    }
  }
  if (spec.stop !== undefined && !["WithAgent", "Never"].includes(spec.stop)) {
    report(["stop"], `expected WithAgent or Never, got "${spec.stop}"`);
  }
  const { terminationGracePeriodSeconds: grace } = spec;
  if (grace !== undefined && grace < 0) report(["terminationGracePeriodSeconds"], "expected 0 or more");
}

/** The drivers of several files by name; of two with one name the first counts. Never throws. */
export function parseDrivers(
  files: readonly { path: string; text: string }[],
): { drivers: Map<string, Driver & { file: string }>; problems: PlacedProblem[] } {
  const drivers = new Map<string, Driver & { file: string }>();
  const problems: PlacedProblem[] = [];
  for (const { path, text } of files) {
    const parsed = parseDocuments(path, text, driverKind);
    problems.push(...parsed.problems);
    for (const driver of parsed.values) {
      const { name } = driver.metadata;
      const first = drivers.get(name);
      if (first === undefined) drivers.set(name, { ...driver, file: path });
      else {
        const message = `there is a driver "${name}" in ${first.file}, which is used`;
        problems.push({ severity: "error", file: path, field: "metadata.name", message });
      }
    }
  }
  return { drivers, problems };
}
