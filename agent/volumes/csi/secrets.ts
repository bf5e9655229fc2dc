/** Secrets for a driver, read when they are needed and kept nowhere. Source: kubernetes pkg/volume/csi/csi_util.go. */
import { secretFields, type SecretUse } from "../../model/csi.ts";
import type { SecretReference } from "../../model/gen/v1.ts";
import { AgentError, errorText } from "../../model/errors.ts";
import { secretBytes, secretNamed } from "../../model/objects.ts";
import type { Objects } from "../../model/wish.ts";
import type { Secrets } from "../../plugin_ports.ts";

/** Throws FailedMount when it is not there, or not what it promises. */
export function readSecret(objects: Objects, ref: SecretReference | undefined, use: SecretUse): Secrets {
  if (ref === undefined) return {};
  const { name = "", namespace = "default" } = ref;
  const failed = (why: string) =>
    new AgentError("FailedMount", `fetching ${secretFields[use]} ${namespace}/${name} failed: ${why}`);
  try {
    const secret = secretNamed(objects, namespace, name);
    if (secret === undefined) throw new Error(`secrets "${name}" not found`);
    const decoder = new TextDecoder();
    return Object.fromEntries([...secretBytes(secret)].map(([key, value]) => [key, decoder.decode(value)]));
  } catch (error) {
    throw failed(errorText(error));
  }
}
