/** Which container runtimes take names of CDI devices over CRI (ContainerConfig.CDI_devices). Not for: asking them. */

/** `told` is what the runtime says of its configuration, where it does. Of a runtime nobody knows: no. */
export function takesCdiNames(name: string, version: string, told: boolean | undefined): boolean {
  if (told === false) return false;
  if (name === "containerd") {
    return isSince(version, [2, 0, 0]) || (told === true && isSince(version, [1, 7, 2]));
  }
  return name === "cri-o" && isSince(version, [1, 28, 0]);
}

function isSince(version: string, least: readonly number[]): boolean {
  const parts = (/\d+(\.\d+)*/.exec(version)?.[0] ?? "0").split(".").map(Number);
  const i = least.findIndex((part, i) => part !== (parts[i] ?? 0));
  return i < 0 || (parts[i] ?? 0) > least[i]!;
}
