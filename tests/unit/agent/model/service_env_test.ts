import { assertEquals } from "@std/assert";
import { resolveEnv } from "../../../../agent/model/env.ts";
import type { Container, Pod } from "../../../../agent/model/gen/v1.ts";
import { type Service, serviceEnv } from "../../../../agent/model/service_env.ts";
import { noObjects } from "../../../../agent/model/wish.ts";

const service = (namespace: string, name: string, clusterIP: string, ...ports: number[]): Service => ({
  metadata: { namespace, name },
  spec: { clusterIP, ports: ports.map((port) => ({ port })) },
});
const api: Service = {
  metadata: { namespace: "default", name: "kubernetes" },
  spec: { clusterIP: "10.96.0.1", ports: [{ name: "https", port: 443, protocol: "TCP" }] },
};
const services = new Map(
  [
    api,
    service("shop", "web-front", "fd00::7", 80, 8080),
    service("shop", "headless", "None", 1),
    service("shop", "elsewhere", "", 1),
    service("other", "web", "10.96.0.9", 1),
    service("default", "web", "10.96.0.8", 1),
  ].map((s) => [`${s.metadata?.namespace}/${s.metadata?.name}`, s]),
);
const pod = (enableServiceLinks: boolean, container: Partial<Container> = {}): Pod => ({
  metadata: { namespace: "shop", name: "p" },
  spec: { enableServiceLinks, containers: [{ name: "c", ...container }] },
});

const ofApi = {
  KUBERNETES_SERVICE_HOST: "10.96.0.1",
  KUBERNETES_SERVICE_PORT: "443",
  KUBERNETES_SERVICE_PORT_HTTPS: "443",
  KUBERNETES_PORT: "tcp://10.96.0.1:443",
  KUBERNETES_PORT_443_TCP: "tcp://10.96.0.1:443",
  KUBERNETES_PORT_443_TCP_PROTO: "tcp",
  KUBERNETES_PORT_443_TCP_PORT: "443",
  KUBERNETES_PORT_443_TCP_ADDR: "10.96.0.1",
};

Deno.test("enableServiceLinks: the Services of the pod's namespace; the API server's is told in any case", () => {
  assertEquals(Object.fromEntries(serviceEnv(pod(false), { services })), ofApi);
  assertEquals(Object.fromEntries(serviceEnv(pod(true), { services })), {
    ...ofApi,
    WEB_FRONT_SERVICE_HOST: "fd00::7",
    WEB_FRONT_SERVICE_PORT: "80",
    WEB_FRONT_PORT: "tcp://[fd00::7]:80",
    WEB_FRONT_PORT_80_TCP: "tcp://[fd00::7]:80",
    WEB_FRONT_PORT_80_TCP_PROTO: "tcp",
    WEB_FRONT_PORT_80_TCP_PORT: "80",
    WEB_FRONT_PORT_80_TCP_ADDR: "fd00::7",
    WEB_FRONT_PORT_8080_TCP: "tcp://[fd00::7]:8080",
    WEB_FRONT_PORT_8080_TCP_PROTO: "tcp",
    WEB_FRONT_PORT_8080_TCP_PORT: "8080",
    WEB_FRONT_PORT_8080_TCP_ADDR: "fd00::7",
  });
});

Deno.test("pods of manifests are told of no Service", () => {
  assertEquals(serviceEnv(pod(true), noObjects).size, 0);
});

Deno.test("variables of the pod come first and win; what they refer to may be a Service's", () => {
  const container = {
    name: "c",
    env: [
      { name: "KUBERNETES_SERVICE_HOST", value: "mine" },
      { name: "URL", value: "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)" },
    ],
  };
  const facts = { podIPs: [], hostIPs: [], nodeName: "n", allocatable: {} };
  const resolved = resolveEnv(pod(false, container), container, { ...noObjects, services }, facts);
  const env = "env" in resolved ? resolved.env : [];
  assertEquals(env.slice(0, 3), [
    { name: "KUBERNETES_SERVICE_HOST", value: "mine" },
    { name: "URL", value: "mine:443" },
    { name: "KUBERNETES_SERVICE_PORT", value: "443" },
  ]);
  assertEquals(env.length, Object.keys(ofApi).length + 1);
});
