/**
 * The node's own docker configuration: the first file of the usual places that can be read. Source:
 * pkg/credentialprovider/config.go. Not for: the secrets of pods.
 */
import { errorText, type Problem } from "../../agent/model/errors.ts";
import { type Keyring, parseDockerConfig } from "../../agent/model/pull_secrets.ts";
import type { Host } from "../../agent/ports.ts";

/**
 * In the kubelet's order, save its working directory, which may hold anybody's `config.json`. A private instance has
 * its own alone (`home` is undefined).
 */
export function dockerConfigPaths(rootDir: string, home: string | undefined): string[] {
  const homes = home === undefined ? [] : [...new Set([home.replace(/\/$/, ""), ""])];
  return [
    ...[rootDir, ...homes.map((h) => `${h}/.docker`)].map((d) => `${d}/config.json`),
    ...[rootDir, ...homes].map((d) => `${d}/.dockercfg`),
  ];
}

/** A file that holds none is told of and passed over. */
export async function readDockerConfig(
  host: Pick<Host, "readText">,
  paths: readonly string[],
): Promise<{ keyring: Keyring; problems: Problem[] }> {
  const problems: Problem[] = [];
  const wrong = (file: string, message: string) => problems.push({ severity: "error", file, message });
  for (const path of paths) {
    const text = await host.readText(path).catch((error) => {
      wrong(path, `cannot be read: ${errorText(error)}`);
    });
    if (text === undefined) continue;
    const keyring = parseDockerConfig(text);
    if (keyring !== undefined) return { keyring, problems };
    wrong(path, 'expected a docker configuration: JSON such as { "auths": { "HOST": { "auth": "…" } } }');
  }
  return { keyring: [], problems };
}
