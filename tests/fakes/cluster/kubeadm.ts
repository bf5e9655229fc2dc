/** What kubeadm leaves in a cluster for those who join: tokens, cluster-info signed with them, configurations. Source: kubeadm's phases. */
import { stringify } from "@std/yaml";
import { made } from "./controllers.ts";
import { asObject, asText } from "./objects.ts";
import { kinds, type World } from "./world.ts";

const base64url = { alphabet: "base64url", omitPadding: true } as const;
const base64 = (text: string) => new TextEncoder().encode(text).toBase64();

export interface BootstrapToken {
  id: string;
  secret: string;
  /** Milliseconds since the epoch. */
  expires?: number;
}

/** @returns `id.secret` */
export async function putBootstrapToken(world: World, token: BootstrapToken): Promise<string> {
  const fields: Record<string, string> = {
    "token-id": token.id,
    "token-secret": token.secret,
    "usage-bootstrap-authentication": "true",
    "usage-bootstrap-signing": "true",
    "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
    ...(token.expires === undefined ? {} : { expiration: new Date(token.expires).toISOString() }),
  };
  made(world, kinds.secret, "kube-system", `bootstrap-token-${token.id}`, {
    type: "bootstrap.kubernetes.io/token",
    data: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, base64(value)])),
  });
  await signClusterInfo(world);
  return `${token.id}.${token.secret}`;
}

/** As the controller bootstrapsigner does: a detached JWS for each token. */
async function signClusterInfo(world: World): Promise<void> {
  const info = world.store.get(kinds.configMap, "kube-public", "cluster-info");
  const content = new TextEncoder().encode(asText(asObject(info?.data).kubeconfig));
  const signatures: [string, string][] = [];
  for (const secret of world.store.list(kinds.secret, "kube-system")) {
    if (secret.type !== "bootstrap.kubernetes.io/token") continue;
    const field = (name: string) => atob(asText(asObject(secret.data)[name]));
    const head = new TextEncoder().encode(JSON.stringify({ alg: "HS256", kid: field("token-id") })).toBase64(
      base64url,
    );
    const token = new TextEncoder().encode(field("token-secret"));
    const key = await crypto.subtle.importKey("raw", token, { name: "HMAC", hash: "SHA-256" }, false, [
      "sign",
    ]);
    const signed = new TextEncoder().encode(`${head}.${content.toBase64(base64url)}`);
    const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, signed)).toBase64(base64url);
    signatures.push([`jws-kubeconfig-${field("token-id")}`, `${head}..${signature}`]);
  }
  const { kubeconfig } = asObject(info?.data);
  made(world, kinds.configMap, "kube-public", "cluster-info", {
    data: { kubeconfig, ...Object.fromEntries(signatures) },
  });
}

export interface KubeadmOptions {
  /** `https://…` */
  server: string;
  /** Merged over what kubeadm writes. */
  kubeletConfiguration: Record<string, unknown>;
}

export function furnishAsKubeadm(world: World, options: KubeadmOptions): void {
  for (const name of ["default", "kube-system", "kube-public", "kube-node-lease"]) {
    made(world, kinds.namespace, undefined, name, {
      spec: { finalizers: ["kubernetes"] },
      status: { phase: "Active" },
    });
  }
  const yaml = (value: Record<string, unknown>) => stringify(value);
  made(world, kinds.configMap, "kube-public", "cluster-info", {
    data: { kubeconfig: yaml(clusterInfo(world, options.server)) },
  });
  made(world, kinds.configMap, "kube-system", "kubelet-config", {
    data: { kubelet: yaml({ ...kubeletConfiguration, ...options.kubeletConfiguration }) },
  });
  made(world, kinds.configMap, "kube-system", "kubeadm-config", {
    data: { ClusterConfiguration: yaml(clusterConfiguration(options.server)) },
  });
}

const clusterInfo = ({ authority }: World, server: string) => ({
  apiVersion: "v1",
  kind: "Config",
  clusters: [{ name: "", cluster: { "certificate-authority-data": base64(authority.cert), server } }],
  contexts: null,
  "current-context": "",
  preferences: {},
  users: null,
});

const kubeletConfiguration = {
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  authentication: {
    anonymous: { enabled: false },
    webhook: { cacheTTL: "0s", enabled: true },
    x509: { clientCAFile: "/etc/kubernetes/pki/ca.crt" },
  },
  authorization: { mode: "Webhook", webhook: { cacheAuthorizedTTL: "0s", cacheUnauthorizedTTL: "0s" } },
  clusterDNS: ["10.96.0.10"],
  clusterDomain: "cluster.local",
  cgroupDriver: "systemd",
  healthzBindAddress: "127.0.0.1",
  healthzPort: 10248,
  rotateCertificates: true,
  staticPodPath: "/etc/kubernetes/manifests",
};

const clusterConfiguration = (server: string) => ({
  apiVersion: "kubeadm.k8s.io/v1beta4",
  kind: "ClusterConfiguration",
  clusterName: "kubernetes",
  controlPlaneEndpoint: new URL(server).host,
  kubernetesVersion: "v1.36.2",
  certificatesDir: "/etc/kubernetes/pki",
  networking: { dnsDomain: "cluster.local", serviceSubnet: "10.96.0.0/12" },
});
