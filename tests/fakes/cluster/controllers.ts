/** What a cluster's controllers do that a node sees: namespaces are furnished and cleared, certificates signed. */
import { advanceRequest } from "./certificates.ts";
import type { Stored } from "./objects.ts";
import { groupVersion } from "./resources.ts";
import { timestamp } from "./objects.ts";
import { kinds, type World } from "./world.ts";

/** Returns what ends it. `report`: what went wrong in a controller, which is a bug. */
export function runControllers(world: World, report: (error: unknown) => void): () => void {
  return world.store.subscribe(({ resource, object, gone, before }) => {
    const later = (work: () => void | Promise<void>) =>
      queueMicrotask(() => void Promise.resolve().then(work).catch(report));
    if (resource === kinds.namespace && gone) later(() => clearNamespace(world, object.metadata.name));
    else if (resource === kinds.namespace && before === undefined) {
      later(() => furnish(world, object.metadata.name));
    } else if (resource === kinds.request && !gone) later(() => advanceRequest(world, object));
  });
}

/** An object as a controller writes it. */
export function made(
  world: World,
  resource: Parameters<World["store"]["put"]>[0],
  namespace: string | undefined,
  name: string,
  content: Partial<Stored> = {},
): Stored {
  const present = world.store.get(resource, namespace, name);
  return world.store.put(resource, {
    apiVersion: groupVersion(resource),
    kind: resource.kind,
    ...present,
    ...content,
    metadata: present?.metadata ?? {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: crypto.randomUUID(),
      resourceVersion: "",
      creationTimestamp: timestamp(world.now()),
    },
  });
}

function furnish(world: World, namespace: string): void {
  if (world.store.get(kinds.namespace, undefined, namespace) === undefined) return;
  made(world, kinds.serviceAccount, namespace, "default");
  made(world, kinds.configMap, namespace, "kube-root-ca.crt", { data: { "ca.crt": world.authority.cert } });
}

function clearNamespace(world: World, namespace: string): void {
  for (const resource of world.resources.filter((r) => r.namespaced)) {
    for (const object of world.store.list(resource, namespace)) world.store.remove(resource, object);
  }
}
