/** The double of a control plane, held to what real kubectl expects of one. Not for: kubectl against the agent itself. */
import https from "node:https";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createAuthority } from "../fakes/cluster/authority.ts";
import { type Cluster, startCluster } from "../fakes/cluster/cluster.ts";
import { kubectlOf } from "../fakes/kubectl.ts";
import { kinds } from "../fakes/cluster/world.ts";
import { made } from "../fakes/cluster/controllers.ts";

const manifest = `
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  nodeName: box
  containers: [{ name: main, image: example.com/web:1 }]
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { color: red }
`;

/** A kubelet's endpoint that says what it is asked, and echoes after an upgrade. */
async function startKubelet() {
  const authority = await createAuthority("kubelet");
  const subject = { commonName: "system:node:box", organizations: ["system:nodes"] };
  const identity = await authority.identity(subject, "server", { ipAddresses: ["127.0.0.1"] });
  const server = https.createServer({ ...identity, requestCert: true, rejectUnauthorized: false });
  server.on("request", (request, response) => {
    const peer = (request.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } })
      .getPeerCertificate();
    response.end(`${peer.subject?.CN} ${request.method} ${request.url}\n`);
  });
  server.on("upgrade", (request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.write(`${request.url}\n`);
    socket.pipe(socket);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    port: (server.address() as { port: number }).port,
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function putNode(cluster: Cluster, port: number) {
  made(cluster.world, kinds.node, undefined, "box", {
    status: {
      addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
    },
  });
}

Deno.test("kubectl applies, shows, changes, watches and deletes with the double", async () => {
  const directory = await Deno.makeTempDir();
  {
    await using cluster = await startCluster();
    using kubelet = await startKubelet();
    putNode(cluster, kubelet.port);
    const kubectl = await kubectlOf(cluster, directory);
    assertEquals(
      await kubectl(["apply", "-f", "-"], manifest),
      "pod/web created\nconfigmap/settings created\n",
    );
    assertEquals(
      await kubectl(["apply", "-f", "-"], manifest.replace("red", "blue")),
      "pod/web unchanged\nconfigmap/settings configured\n",
    );
    assertEquals(await kubectl(["get", "cm", "settings", "-o", "jsonpath={.data.color}"]), "blue");
    assertEquals(await kubectl(["get", "pods", "-l", "app=web", "-o", "name"]), "pod/web\n");
    assertStringIncludes(await kubectl(["describe", "pod", "web"]), "kube-api-access");
    assertStringIncludes(await kubectl(["get", "nodes"]), "box");
    assertEquals(await kubectl(["label", "node", "box", "zone=a"]), "node/box labeled\n");
    assertStringIncludes(
      await kubectl(["get", "pod", "none"]),
      'exit status 1: Error from server (NotFound): pods "none" not found',
    );
    assertEquals(
      await kubectl(["logs", "web", "--tail=5", "--timestamps"]),
      "kube-apiserver-kubelet-client GET /containerLogs/default/web/main?tailLines=5&timestamps=true\n",
    );
    assertStringIncludes(
      await kubectl(["get", "--raw", "/api/v1/nodes/box/proxy/stats/summary?a=b"]),
      "GET /stats/summary?a=b",
    );
    assertStringIncludes(
      await kubectl(["delete", "pod", "web", "--grace-period=0", "--force"]),
      'pod "web" force deleted',
    );
    assertStringIncludes(await kubectl(["delete", "cm", "settings"]), 'configmap "settings" deleted');
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("an upgraded connection goes through to the node's endpoint untouched", async () => {
  await using cluster = await startCluster();
  using kubelet = await startKubelet();
  putNode(cluster, kubelet.port);
  made(cluster.world, kinds.pod, "default", "web", {
    spec: { nodeName: "box", containers: [{ name: "main" }] },
  });
  const identity = await cluster.client({ commonName: "admin", organizations: ["system:masters"] });
  const { hostname, port } = new URL(cluster.url);
  const connection = await Deno.connectTls({
    hostname,
    port: Number(port),
    caCerts: [cluster.ca],
    ...identity,
  });
  const path = "/api/v1/namespaces/default/pods/web/exec?command=sh&stdin=true&stdout=true&tty=false";
  await connection.write(
    new TextEncoder().encode(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`,
    ),
  );
  const reader = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const readUntil = async (part: string) => {
    while (!text.includes(part)) text += (await reader.read()).value ?? "(the end)" + part;
  };
  await readUntil("output=1\n");
  assertStringIncludes(text, "/exec/default/web/main?command=sh&input=1&output=1\n");
  await connection.write(new TextEncoder().encode("\u0001ping"));
  await readUntil("\u0001ping");
  assertEquals(text.includes("(the end)"), false);
  connection.close();
});
