/**
 * Which AppArmor profile a container asks for: by field, by the beta annotation, or by the pod. Pure. Not for: enforcing
 * it (the runtime) or refusing it (admission.ts).
 */
import type { AppArmorProfile, Container, Pod } from "./gen/v1.ts";

const prefix = "container.apparmor.security.beta.kubernetes.io/";

/** `undefined`: it asks for none, which leaves the choice to the runtime. */
export function apparmorProfileOf(pod: Pod, container: Container): AppArmorProfile | undefined {
  return container.securityContext?.appArmorProfile ?? apparmorAnnotation(pod, container.name) ??
    pod.spec?.securityContext?.appArmorProfile;
}

/** The beta annotation `container.apparmor.security.beta.kubernetes.io/NAME`. */
export function apparmorAnnotation(pod: Pod, container: string): AppArmorProfile | undefined {
  const text = pod.metadata?.annotations?.[prefix + container];
  if (text === "runtime/default") return { type: "RuntimeDefault" };
  if (text === "unconfined") return { type: "Unconfined" };
  return text?.startsWith("localhost/") === true
    ? { type: "Localhost", localhostProfile: text.slice("localhost/".length) }
    : undefined;
}

/** Names in securityfs's list of loaded profiles, a line `NAME (MODE)` each. */
export function parseLoadedProfiles(text: string): Set<string> {
  return new Set(text.split("\n").flatMap((line) => /^(.+) \([a-z ]+\)$/.exec(line)?.[1] ?? []));
}

/** What is wrong with the annotations: names of containers that do not exist, values that mean nothing. */
export function apparmorAnnotationProblems(pod: Pod): { key: string; message: string }[] {
  const names = [...pod.spec?.initContainers ?? [], ...pod.spec?.containers ?? []].map((c) => c?.name);
  return Object.entries(pod.metadata?.annotations ?? {}).flatMap(([key, value]) => {
    if (!key.startsWith(prefix)) return [];
    const name = key.slice(prefix.length);
    if (!names.includes(name)) return [{ key, message: `there is no container ${JSON.stringify(name)}` }];
    return /^(|runtime\/default|unconfined|localhost\/.+)$/.test(value ?? "")
      ? []
      : [{ key, message: "expected runtime/default, unconfined or localhost/PROFILE" }];
  });
}
