/**
 * What becomes of a pod that is written: defaults, service account, tolerations, status; what an update may change. Sources:
 * pkg/registry/core/pod/strategy.go, plugin/pkg/admission/serviceaccount, defaulttolerationseconds. Not for: other kinds.
 */
import { defaultPod } from "../../../agent/model/defaults.ts";
import type { Pod } from "../../../agent/model/gen/v1.ts";
import { qosClass } from "../../../agent/model/qos.ts";
import { type Cause, invalid, refused } from "./errors.ts";
import { asList, asObject, asText, equal, isObject, type Json, type Stored } from "./objects.ts";
import { isMirror } from "./references.ts";
import { kinds, type Writing } from "./world.ts";

export function newPod(writing: Writing, pod: Stored): Stored {
  const mirror = isMirror(pod);
  const given = mirror ? pod.spec! : withServiceAccount(writing, pod);
  if (asList(given.containers).length === 0) {
    throw invalid(kinds.pod, pod.metadata.name, [required("spec.containers")]);
  }
  const filled = defaultPod({ spec: given } as unknown as Pod).spec as unknown as Json;
  const spec = {
    ...filled,
    priority: filled.priority ?? 0,
    preemptionPolicy: filled.preemptionPolicy ?? "PreemptLowerPriority",
    tolerations: [...asList(filled.tolerations), ...missingTolerations(asList(filled.tolerations))],
  };
  return {
    ...pod,
    spec,
    status: { phase: "Pending", qosClass: qosClass({ spec } as unknown as Pod) },
  };
}

const required = (field: string): Cause => ({
  reason: "FieldValueRequired",
  message: "Required value",
  field,
});

/** The default one unless told, and its token, the cluster's CA and the namespace mounted where clients look for them. */
function withServiceAccount({ world }: Writing, pod: Stored): Json {
  const spec = asObject(pod.spec);
  const name = asText(spec.serviceAccountName) || asText(spec.serviceAccount) || "default";
  const account = world.store.get(kinds.serviceAccount, pod.metadata.namespace, name);
  const named = { ...spec, serviceAccountName: name, serviceAccount: name };
  if (account === undefined) {
    const where = `${pod.metadata.namespace}/${name}`;
    const why = `error looking up service account ${where}: serviceaccount "${name}" not found`;
    throw refused(kinds.pod, pod.metadata.name, why);
  }
  const mounts = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
  if (mounts === false) return named;
  const volume = `kube-api-access-${suffix()}`;
  return {
    ...named,
    volumes: [...asList(spec.volumes), {
      name: volume,
      projected: { defaultMode: 420, sources: accessSources },
    }],
    containers: asList(spec.containers).map((c) => withMount(c, volume)),
    ...(spec.initContainers === undefined
      ? {}
      : { initContainers: asList(spec.initContainers).map((c) => withMount(c, volume)) }),
  };
}

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const accessSources = [
  { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
  { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  {
    downwardAPI: {
      items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
    },
  },
];

function withMount(container: unknown, name: string): unknown {
  if (!isObject(container)) return container;
  const mounts = asList(container.volumeMounts);
  if (mounts.some((m) => asObject(m).mountPath === mountPath)) return container;
  return { ...container, volumeMounts: [...mounts, { name, readOnly: true, mountPath }] };
}

function missingTolerations(present: unknown[]): Json[] {
  return ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].filter((key) =>
    !present.some((t) => [key, undefined, ""].includes(asObject(t).key as string | undefined))
  ).map((key) => ({ key, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 }));
}

/** As names are completed: letters and digits that make no words. */
export const suffix = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(5)), (n) => "bcdfghjklmnpqrstvwxz2456789"[n % 27]).join(
    "",
  );

// ---- updates -------------------------------------------------------------------------------------------------------

/** @throws {ApiError} 422 when more than images, deadline and tolerations changes. */
export function checkPodUpdate(before: Stored, after: Stored): void {
  if (equal(fixed(before.spec), fixed(after.spec))) return;
  throw invalid(kinds.pod, before.metadata.name, [{
    reason: "FieldValueForbidden",
    field: "spec",
    message: "Forbidden: pod updates may not change fields other than `spec.containers[*].image`," +
      "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing " +
      "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
  }]);
}

function fixed(spec: Json | undefined): Json {
  const { activeDeadlineSeconds: _deadline, tolerations: _tolerations, ...rest } = asObject(spec);
  const withoutImage = (list: unknown) =>
    asList(list).map((c) => ({ ...asObject(c), image: undefined, imagePullPolicy: undefined }));
  return {
    ...rest,
    containers: withoutImage(rest.containers),
    initContainers: withoutImage(rest.initContainers),
  };
}

/** Only what the subresource is about changes. */
export function resized(before: Stored, after: Stored): Stored {
  const resourcesOf = (list: unknown, old: unknown) =>
    asList(old).map((container, i) => {
      const { resources, resizePolicy } = asObject(asList(list)[i]);
      return { ...asObject(container), resources, resizePolicy };
    });
  const [spec, old] = [asObject(after.spec), asObject(before.spec)];
  return {
    ...before,
    spec: {
      ...old,
      containers: resourcesOf(spec.containers, old.containers),
      ...(old.initContainers === undefined
        ? {}
        : { initContainers: resourcesOf(spec.initContainers, old.initContainers) }),
    },
  };
}

export const withEphemeral = (before: Stored, after: Stored): Stored => ({
  ...before,
  spec: { ...before.spec, ephemeralContainers: asObject(after.spec).ephemeralContainers },
});

/** Source: pkg/apis/core/validation, ValidateContainerStateTransition. */
function checkTransitions(pod: Stored, old: Json, status: Json): void {
  const policy = pod.spec?.restartPolicy;
  const ended = (s: Json) => asObject(asObject(s.state).terminated);
  for (const field of policy === "Always" ? [] : ["initContainerStatuses", "containerStatuses"]) {
    for (const before of asList(old[field]).map(asObject).filter((s) => "exitCode" in ended(s))) {
      const sidecar = asList(pod.spec?.initContainers).map(asObject)
        .some((c) => c.name === before.name && c.restartPolicy === "Always");
      if (sidecar || (policy === "OnFailure" && ended(before).exitCode !== 0)) continue;
      const now = asList(status[field]).map(asObject).find((s) => s.name === before.name);
      if (now === undefined || "exitCode" in ended(now)) continue;
      throw invalid(kinds.pod, pod.metadata.name, [{
        reason: "FieldValueForbidden",
        field: `status.${field}`,
        message: `Forbidden: ${before.name} must not be transitioned to non-terminated state`,
      }]);
    }
  }
}

/** What a client leaves out of a status is kept where the API server keeps it. @throws {ApiError} 422 */
export function podStatus(before: Stored, after: Stored): Json {
  const [old, status] = [asObject(before.status), asObject(after.status)];
  checkTransitions(before, old, status);
  const observed = new Map(
    asList(old.conditions).map((c) => [asObject(c).type, asObject(c).observedGeneration]),
  );
  const conditions = asList(status.conditions).map((c) => {
    const kept = asObject(c).observedGeneration ?? observed.get(asObject(c).type);
    return kept === undefined ? c : { ...asObject(c), observedGeneration: kept };
  });
  const generation = status.observedGeneration ?? old.observedGeneration;
  return {
    ...status,
    qosClass: status.qosClass ?? old.qosClass,
    ...(status.conditions === undefined ? {} : { conditions }),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
}
