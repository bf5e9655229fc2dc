/** How each kind of object that pods need is followed. Not for: which are needed (objects.ts). */
import { type NeedKey, readNeed } from "../../model/cluster_needs.ts";
import type { Service } from "../../model/service_env.ts";
import type { WatchedObject } from "../client/watch_state.ts";
import {
  type ClaimLook,
  type Collection,
  followAll,
  followClaim,
  followOne,
  type FollowOptions,
  type Look,
} from "./follow.ts";

/** `volume`: of a claim. */
export type Tell = (look: Look<unknown>, volume?: ClaimLook["volume"]) => void;

/** Never rejects; ends with `ending`, which it may end itself when nothing more is to come. */
export function follow(o: FollowOptions, key: NeedKey, tell: Tell, ending: AbortController): Promise<void> {
  const { kind, namespace, name } = readNeed(key);
  const one = (plural: string) =>
    followOne(o, { path: `/api/v1/namespaces/${namespace}/${plural}`, name }, tell, ending);
  switch (kind) {
    case "ConfigMap":
      return one("configmaps");
    case "Secret":
      return one("secrets");
    case "PersistentVolumeClaim":
      return followClaim(o, { namespace, name }, ({ claim, volume }) => tell(claim, volume), ending);
    case "Service":
      return followAll(o, services, tell, ending);
    case "RuntimeClass":
      return followAll(o, { path: "/apis/node.k8s.io/v1/runtimeclasses" }, tell, ending);
    case "CSIDriver":
      return followAll(o, { path: "/apis/storage.k8s.io/v1/csidrivers" }, tell, ending);
  }
}

/** There may be thousands: what pods are not told of is not kept. */
const services: Collection<Service & WatchedObject> = {
  path: "/api/v1/services",
  query: { fieldSelector: "spec.clusterIP!=None" },
  slim: ({ metadata, spec }) => ({
    ...(metadata && { metadata: pick(metadata, "name", "namespace", "resourceVersion") }),
    ...(spec && { spec: pick(spec, "clusterIP", "ports") }),
  }),
};

const pick = <T extends object>(object: T, ...fields: (keyof T & string)[]): T =>
  Object.fromEntries(Object.entries(object).filter(([field]) => fields.some((f) => f === field))) as T;
