/** Containers and sandboxes as the runtime reports them, for tests of the APIs. */
import type { ObservedContainer, ObservedPod } from "../../../../agent/model/observed.ts";

export const container = (
  name: string,
  attempt: number,
  state: ObservedContainer["state"],
): ObservedContainer => ({
  id: `${name}-${attempt}`,
  name,
  sandboxId: "s",
  attempt,
  state,
  createdAt: 1,
  image: "i",
  imageRef: "i",
  hash: "",
  backOff: 0,
  graceSeconds: 1,
  logPath: "",
  ...(state === "exited" ? { exitCode: 7, reason: "Error" } : {}),
});

export const sandbox = (attempt: number, ready: boolean): ObservedPod["sandboxes"][number] => ({
  id: `sandbox-${attempt}`,
  attempt,
  ready,
  createdAt: 1,
  ips: [],
  hash: "",
  runtimeHandler: "",
});
