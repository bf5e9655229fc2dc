/** Starts containerd apart from the agent, whose end is nothing to it. Not for: when to start it. */
import { dirname } from "@std/path";
import { startApart } from "../processes/launch.ts";
import type { RunningProcess } from "../processes/proc.ts";
import { findContainerd } from "./processes.ts";

export interface StartOptions {
  binaries: { containerd: string; runc: string };
  configPath: string;
  logPath: string;
}

/** `undefined` when it ended before it could be seen. */
export function startContainerd(
  options: StartOptions,
  env: Record<string, string>,
): Promise<RunningProcess | undefined> {
  const { binaries: { containerd, runc }, configPath, logPath } = options;
  const directories = [
    dirname(containerd),
    dirname(runc),
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
  ];
  return startApart({
    argv: [containerd, "--config", configPath],
    env: { ...env, PATH: [...new Set([...directories, "/sbin", "/bin"])].join(":") },
    logPath,
    find: () => findContainerd(configPath),
  });
}
