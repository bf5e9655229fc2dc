/** The node's own passwords for registries, with their problems shown. Not for: how they are found. */
import { locateProblems } from "../sources/locate.ts";
import type { NodeCredentials } from "../ports.ts";
import { createNodeCredentials } from "../../plugins/credentials/mod.ts";
import type { PodPartsOptions } from "./pods.ts";

export function nodeCredentials(
  { config, host, store }: Pick<PodPartsOptions, "config" | "host" | "store">,
  leave: AbortSignal,
): NodeCredentials {
  const credentials = createNodeCredentials({
    host,
    rootDir: config.rootDir,
    home: config.isPrivate ? undefined : Deno.env.get("HOME") ?? "/root",
    providerConfig: config.imageCredentialProviders.path,
    providerBinDir: config.imageCredentialProviders.binDir,
    locate: locateProblems,
    report: (problems) => store.setProblems("credentials", problems),
  }, leave);
  void credentials.check();
  return credentials;
}
