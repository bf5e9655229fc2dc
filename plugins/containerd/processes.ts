/**
 * Which processes are our containerd and its shims: their arguments name our configuration file or our socket. Not for:
 * what to do with them.
 */
import { basename } from "@std/path";
import { findProcesses, type RunningProcess } from "../processes/proc.ts";

function argument(argv: string[], name: string): string | undefined {
  const i = argv.indexOf(name);
  return i < 0 ? undefined : argv[i + 1];
}

/** The containerd that runs with this configuration file. */
export function findContainerd(configPath: string): RunningProcess | undefined {
  return findProcesses((argv) =>
    basename(argv[0] ?? "") === "containerd" && argument(argv, "--config") === configPath
  )[0];
}

/** The shims that report to the containerd on this socket. */
export function findShims(socket: string): RunningProcess[] {
  return findProcesses((argv) =>
    (argv[0] ?? "").includes("containerd-shim") && argument(argv, "-address") === socket
  );
}
