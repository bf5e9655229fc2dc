import { assertEquals } from "@std/assert";
import type { Container, Probe } from "../../../../agent/model/gen/v1.ts";
import { probeTarget } from "../../../../agent/model/probe_target.ts";

const container: Container = {
  name: "web",
  image: "web:1",
  ports: [{ name: "http", containerPort: 8080 }],
  env: [
    { name: "FLAG", value: "on" },
    { name: "BOTH", value: "$(FLAG)/off" },
    { name: "OTHER", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
  ],
};
const target = (probe: Probe, podIP: string | undefined = "10.0.0.5") => probeTarget(probe, container, podIP);

Deno.test("ports by name, by number and by a number in quotes", () => {
  for (const port of ["http", 8080, "8080"]) {
    assertEquals(target({ tcpSocket: { port } }), { kind: "tcp", host: "10.0.0.5", port: 8080 });
  }
  assertEquals(target({ tcpSocket: { port: "web" } }), {
    kind: "error",
    message: 'no port of the container is named "web"',
  });
});

Deno.test("a URL from scheme, host, port and path", () => {
  const url = (httpGet: object, podIP?: string) => {
    const t = target({ httpGet: { port: 80, ...httpGet } }, podIP);
    return t.kind === "http" ? t.url : t;
  };
  assertEquals(url({}), "http://10.0.0.5/");
  assertEquals(url({ port: 8080, path: "healthz?full=1" }), "http://10.0.0.5:8080/healthz?full=1");
  assertEquals(
    url({ scheme: "HTTPS", port: 8443, host: "example.com", path: "/a b" }),
    "https://example.com:8443/a%20b",
  );
  assertEquals(url({ path: "//example.com/x" }), "http://10.0.0.5//example.com/x");
  assertEquals(url({ port: 8080 }, "fd00::5"), "http://[fd00::5]:8080/");
  assertEquals(url({ host: "a b" }), { kind: "error", message: "not a URL: http://a b:80/" });
});

Deno.test("grpc asks the pod by port and service, tcpSocket the host that it names", () => {
  assertEquals(target({ grpc: { port: 9000, service: "shop" } }), {
    kind: "grpc",
    host: "10.0.0.5",
    port: 9000,
    service: "shop",
  });
  assertEquals(target({ grpc: { port: 9000 } }, "fd00::5"), {
    kind: "grpc",
    host: "fd00::5",
    port: 9000,
    service: "",
  });
  assertEquals(target({ tcpSocket: { port: 5432, host: "192.0.2.7" } }), {
    kind: "tcp",
    host: "192.0.2.7",
    port: 5432,
  });
});

Deno.test("without an address there is nothing to ask", () => {
  assertEquals(probeTarget({ tcpSocket: { port: 80 } }, container, undefined), {
    kind: "error",
    message: "the pod has no address yet",
  });
});

Deno.test("commands know the variables that the manifest gives a value", () => {
  assertEquals(target({ exec: { command: ["$(BOTH)", "$(OTHER)", "$$(FLAG)"] } }), {
    kind: "exec",
    command: ["on/off", "$(OTHER)", "$(FLAG)"],
  });
});
