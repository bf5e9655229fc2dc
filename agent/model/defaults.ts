/**
 * Fields that the API server fills in when they are absent, so that everything after the parser may count on them.
 * Not for: what the node adds to a pod of the manifest directory (sources/static_pod.ts).
 *
 * Source: kubernetes pkg/apis/core/v1/defaults.go.
 */
import type {
  ConfigMap,
  Container,
  EnvVar,
  Lifecycle,
  LifecycleHandler,
  ObjectMeta,
  Pod,
  PodSpec,
  Probe,
  ResourceRequirements,
  RuntimeClass,
  Secret,
  Volume,
  VolumeProjection,
} from "./gen/v1.ts";
import { imageTag } from "./image_name.ts";
import { classPriority } from "./priority.ts";
import { combine, limitsOf, requestsOf } from "./qos.ts";
import { formatQuantity } from "./quantity.ts";
import { type Kind, kinds } from "./objects.ts";

export function defaultPod(pod: Pod): Pod {
  const { status: _ignored, ...rest } = pod;
  return {
    ...rest,
    apiVersion: "v1",
    kind: "Pod",
    metadata: defaultMetadata(pod.metadata),
    ...(pod.spec === undefined ? {} : { spec: defaultPodSpec(pod.spec) }),
  };
}

interface Described {
  metadata?: ObjectMeta;
}

/** Kind and metadata alone. */
export const defaultObject = (kind: Kind) => <T extends Described>(object: T): T => ({
  ...object,
  apiVersion: kinds[kind].apiVersion,
  kind,
  metadata: defaultMetadata(object.metadata),
});

/** One that says a namespace was refused. */
export const defaultClusterObject = (kind: Kind) => <T extends Described>(object: T): T => {
  const { namespace: _none, ...metadata } = defaultMetadata(object.metadata);
  return { ...object, apiVersion: kinds[kind].apiVersion, kind, metadata };
};

export const defaultConfigMap: (configMap: ConfigMap) => ConfigMap = defaultObject("ConfigMap");
export const defaultRuntimeClass: (runtimeClass: RuntimeClass) => RuntimeClass = defaultClusterObject(
  "RuntimeClass",
);

/** `stringData` is written into `data`, where it wins, as the API server does on a write. */
export function defaultSecret(secret: Secret): Secret {
  const { stringData, ...rest } = secret;
  const data = { ...rest.data };
  for (const [key, text] of Object.entries(stringData ?? {})) {
    Object.defineProperty(data, key, {
      value: base64(text),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return {
    ...rest,
    apiVersion: "v1",
    kind: "Secret",
    type: rest.type || "Opaque",
    metadata: defaultMetadata(secret.metadata),
    data,
  };
}

function base64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text ?? "")) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Fields that only a server writes are dropped, as it does with them in a create. */
function defaultMetadata(metadata: ObjectMeta = {}): ObjectMeta {
  const { name, namespace, labels, annotations } = metadata;
  return {
    ...(name === undefined ? {} : { name }),
    namespace: namespace || "default",
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function defaultPodSpec(spec: PodSpec): PodSpec {
  const hostNetwork = spec.hostNetwork ?? false;
  const priority = classPriority(spec.priorityClassName);
  const containers = (list: Container[] | undefined) =>
    (list ?? []).map((c) => defaultContainer(c, { hostNetwork }));
  const filled = {
    restartPolicy: "Always",
    dnsPolicy: "ClusterFirst",
    terminationGracePeriodSeconds: 30,
    enableServiceLinks: true,
    schedulerName: "default-scheduler",
    securityContext: {},
    ...(priority === undefined ? {} : { priority }),
    ...spec,
    ...(spec.volumes === undefined ? {} : { volumes: spec.volumes.map(defaultVolume) }),
    ...(spec.initContainers === undefined ? {} : { initContainers: containers(spec.initContainers) }),
    containers: containers(spec.containers),
  };
  return filled.resources === undefined ? filled : { ...filled, resources: defaultPodResources(filled) };
}

/** What a pod as a whole gets for what it does not say, once it says anything: of its containers, else its own limits. */
function defaultPodResources(spec: PodSpec): ResourceRequirements {
  const { limits: ownLimits = {}, requests: ownRequests = {}, ...rest } = spec.resources ?? {};
  if (Object.keys(ownLimits).length + Object.keys(ownRequests).length === 0) return spec.resources ?? {};
  const sums = (of: typeof limitsOf, pages: boolean) =>
    Object.fromEntries(
      Object.entries(combine({ spec }, of)).filter(([name]) =>
        name.startsWith("hugepages-") ? pages : !pages && (name === "cpu" || name === "memory")
      ).map(([name, amount]) => [name, formatQuantity(name, amount)]),
    );
  const limits = { ...sums(limitsOf, true), ...ownLimits };
  const requests = Object.keys(limits).length === 0
    ? ownRequests
    : { ...limits, ...sums(requestsOf, false), ...ownRequests };
  return { ...rest, ...(Object.keys(limits).length === 0 ? {} : { limits }), requests };
}

export function defaultContainer(c: Container, options: { hostNetwork: boolean }): Container {
  return {
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: pullPolicyOf(c.image),
    ...c,
    resources: defaultResources(c.resources),
    ...defaultResizePolicy(c),
    ...(c.ports === undefined ? {} : {
      ports: c.ports.map((port) => ({
        protocol: "TCP",
        ...(options.hostNetwork ? { hostPort: port.containerPort } : {}),
        ...port,
      })),
    }),
    ...(c.env === undefined ? {} : { env: c.env.map(defaultEnv) }),
    // The kubelet makes relative mount paths absolute.
    ...(c.volumeMounts === undefined ? {} : {
      volumeMounts: c.volumeMounts.map((m) => ({ ...m, mountPath: absolute(m.mountPath ?? "") })),
    }),
    ...(c.livenessProbe === undefined ? {} : { livenessProbe: defaultProbe(c.livenessProbe) }),
    ...(c.readinessProbe === undefined ? {} : { readinessProbe: defaultProbe(c.readinessProbe) }),
    ...(c.startupProbe === undefined ? {} : { startupProbe: defaultProbe(c.startupProbe) }),
    ...(c.lifecycle === undefined ? {} : { lifecycle: defaultLifecycle(c.lifecycle) }),
  };
}

const pullPolicyOf = (image = "") => imageTag(image) === "latest" ? "Always" : "IfNotPresent";

const absolute = (path: string) => path === "" || path.startsWith("/") ? path : `/${path}`;

/** What is limited but not requested is requested as far as it is limited. */
function defaultResources(resources: Container["resources"] = {}): NonNullable<Container["resources"]> {
  if (resources.limits === undefined) return resources;
  return { ...resources, requests: { ...resources.limits, ...resources.requests } };
}

/** Where resources are given at all, each changes without a restart unless its policy says otherwise. */
function defaultResizePolicy(
  { resizePolicy = [], resources = {} }: Container,
): Pick<Container, "resizePolicy"> {
  const named = [...Object.keys(resources.limits ?? {}), ...Object.keys(resources.requests ?? {})];
  const missing = ["cpu", "memory"].filter((resourceName) =>
    named.includes(resourceName) && !resizePolicy.some((p) => p.resourceName === resourceName)
  );
  const all = [
    ...resizePolicy,
    ...missing.map((resourceName) => ({ resourceName, restartPolicy: "NotRequired" })),
  ];
  return all.length === 0 ? {} : { resizePolicy: all };
}

function defaultEnv(env: EnvVar): EnvVar {
  const from = env.valueFrom;
  if (from?.fieldRef !== undefined) {
    return { ...env, valueFrom: { ...from, fieldRef: { apiVersion: "v1", ...from.fieldRef } } };
  }
  if (from?.resourceFieldRef !== undefined) {
    return { ...env, valueFrom: { ...from, resourceFieldRef: { divisor: "0", ...from.resourceFieldRef } } };
  }
  return env;
}

/** Zero means unset here, as in the API's Go types. */
function defaultProbe(probe: Probe): Probe {
  return {
    ...probe,
    timeoutSeconds: probe.timeoutSeconds || 1,
    periodSeconds: probe.periodSeconds || 10,
    successThreshold: probe.successThreshold || 1,
    failureThreshold: probe.failureThreshold || 3,
    ...defaultHttpGet(probe),
    ...(probe.grpc === undefined ? {} : { grpc: { service: "", ...probe.grpc } }),
  };
}

function defaultLifecycle(lifecycle: Lifecycle): Lifecycle {
  const filled = (handler: LifecycleHandler): LifecycleHandler => ({
    ...handler,
    ...defaultHttpGet(handler),
  });
  return {
    ...lifecycle,
    ...(lifecycle.postStart === undefined ? {} : { postStart: filled(lifecycle.postStart) }),
    ...(lifecycle.preStop === undefined ? {} : { preStop: filled(lifecycle.preStop) }),
  };
}

const defaultHttpGet = ({ httpGet }: LifecycleHandler): Pick<LifecycleHandler, "httpGet"> =>
  httpGet === undefined
    ? {}
    : { httpGet: { ...httpGet, path: httpGet.path || "/", scheme: httpGet.scheme || "HTTP" } };

/** A volume without a source is an emptyDir. */
function defaultVolume(volume: Volume): Volume {
  const mode = { defaultMode: 0o644 };
  const { configMap, secret, downwardAPI, projected, hostPath, image } = volume;
  if (Object.keys(volume).every((key) => key === "name")) return { ...volume, emptyDir: {} };
  return {
    ...volume,
    ...(configMap === undefined ? {} : { configMap: { ...mode, ...configMap } }),
    ...(secret === undefined ? {} : { secret: { ...mode, ...secret } }),
    ...(downwardAPI === undefined ? {} : { downwardAPI: { ...mode, ...downwardAPI } }),
    ...(projected === undefined ? {} : {
      projected: { ...mode, ...projected, sources: (projected.sources ?? []).map(defaultProjection) },
    }),
    ...(hostPath === undefined ? {} : { hostPath: { type: "", ...hostPath } }),
    ...(image === undefined ? {} : { image: { pullPolicy: pullPolicyOf(image.reference), ...image } }),
  };
}

const defaultProjection = (source: VolumeProjection): VolumeProjection =>
  source.serviceAccountToken === undefined
    ? source
    : { ...source, serviceAccountToken: { expirationSeconds: 3600, ...source.serviceAccountToken } };
