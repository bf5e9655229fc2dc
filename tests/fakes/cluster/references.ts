/** What a pod needs to be there: the ties by which a node may read an object. Pure. Source: the Node authorizer's graph. */
import { asList, asObject, asText, isObject, type Stored } from "./objects.ts";

export interface References {
  configMaps: Set<string>;
  secrets: Set<string>;
  claims: Set<string>;
  serviceAccount: string;
}

const mirrorAnnotation = "kubernetes.io/config.mirror";
export const isMirror = ({ metadata }: Stored): boolean =>
  metadata.annotations?.[mirrorAnnotation] !== undefined;

export const nodeOf = (pod: Stored): string => asText(pod.spec?.nodeName);

export function referencesOf(pod: Stored): References {
  const found: References = {
    configMaps: new Set(),
    secrets: new Set(),
    claims: new Set(),
    serviceAccount: asText(pod.spec?.serviceAccountName),
  };
  collect(pod.spec, found);
  for (const secret of asList(pod.spec?.imagePullSecrets)) found.secrets.add(asText(asObject(secret).name));
  return found;
}

function collect(value: unknown, found: References): void {
  if (Array.isArray(value)) value.forEach((item) => collect(item, found));
  if (!isObject(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    const { name, secretName, claimName } = asObject(inner);
    if (["configMap", "configMapRef", "configMapKeyRef"].includes(key)) found.configMaps.add(asText(name));
    else if (/^secret(Ref|KeyRef)?$|SecretRef$/.test(key)) found.secrets.add(asText(secretName ?? name));
    else if (key === "persistentVolumeClaim") found.claims.add(asText(claimName));
    collect(inner, found);
  }
}
