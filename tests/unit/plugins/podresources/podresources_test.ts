/** The pod resources API on a real socket, asked by grpc-js and by a client that says the path as its authority, as Go's do. */
import * as grpc from "@grpc/grpc-js";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { createMetrics } from "../../../../agent/lib/metrics.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { allocatableUse, podUses } from "../../../../agent/model/pod_resources.ts";
import { runPodResources } from "../../../../plugins/podresources/mod.ts";
import {
  type ListPodResourcesResponse,
  PodResourcesListerDefinition as definition,
} from "../../../../plugins/rpc/gen/podresources.ts";
import type { MethodDefinition } from "../../../../plugins/rpc/mod.ts";

const x = "a.com/x";
const container = (name: string) => ({ name });
const pods: Pod[] = [
  {
    metadata: { name: "gpu", namespace: "default", uid: "u" },
    spec: {
      initContainers: [container("init"), { name: "side", restartPolicy: "Always" }],
      containers: [container("main")],
    },
    status: { phase: "Running" },
  },
  {
    metadata: { name: "over", uid: "o" },
    spec: { containers: [container("main")] },
    status: { phase: "Failed" },
  },
];
const given = {
  grants: new Map([[
    "u",
    new Map([["main", new Map([[x, { devices: new Map([[-1, ["d0"]], [0, ["d1"]], [1, ["d1"]]]) }]])]]),
  ]]),
  assignments: new Map([["u", new Map([["main", new Set([3, 2])]])]]),
};
const device = (id: string, healthy: boolean, numaNodes: number[]) => ({ id, healthy, numaNodes });
const offers = new Map([[x, {
  devices: [device("d0", true, []), device("d1", true, [0, 1]), device("d2", false, [0])],
  connected: true,
  prefers: false,
  preStarts: false,
}]]);

type Answer = { answer: unknown; code: number; details: string };

interface Lab {
  directory: string;
  /** `authority` as the client says it; the host's name, unless told. */
  call(
    method: keyof typeof definition.methods,
    request?: object,
    of?: { service?: string; authority?: string },
  ): Promise<Answer>;
  metrics: string;
}

async function withServer(run: (lab: Lab) => Promise<void>): Promise<void> {
  const directory = `${await Deno.makeTempDir()}/pod-resources`;
  const stop = new AbortController();
  const metrics = createMetrics();
  const served = runPodResources({
    host: createHost(),
    directory,
    metrics,
    pods: () => podUses(pods, given),
    allocatable: () => allocatableUse(offers, new Set([1, 2, 3])),
  }, stop.signal);
  const path = `${directory}/kubelet.sock`;
  const call: Lab["call"] = (key, request = {}, { service = "v1.PodResourcesLister", authority } = {}) => {
    const { name, requestType, responseType }: MethodDefinition = definition.methods[key];
    const options = {
      "grpc.initial_reconnect_backoff_ms": 20,
      ...(authority === undefined ? {} : { "grpc.default_authority": authority }),
    };
    const client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), options);
    return new Promise((resolve) => {
      client.waitForReady(Date.now() + 5000, () => {
        client.makeUnaryRequest(
          `/${service}/${name}`,
          (message: object) => Buffer.from(requestType.encode(requestType.fromPartial(message)).finish()),
          (bytes: Uint8Array) => responseType.decode(bytes),
          request,
          (error, answer) => {
            client.close();
            resolve({ answer, code: error?.code ?? 0, details: error?.details ?? "" });
          },
        );
      });
    });
  };
  try {
    await run({
      directory,
      call,
      get metrics() {
        return metrics.render();
      },
    });
  } finally {
    stop.abort();
    await served;
    await Deno.remove(directory.replace(/\/[^/]*$/, ""), { recursive: true });
  }
}

const main = {
  name: "main",
  devices: [
    { resourceName: x, deviceIds: ["d0"], topology: undefined },
    { resourceName: x, deviceIds: ["d1"], topology: { nodes: [{ ID: 0n }, { ID: 1n }] } },
  ],
  cpuIds: [2n, 3n],
  memory: [],
};
const listed = {
  podResources: [{
    name: "gpu",
    namespace: "default",
    containers: [{ name: "side", devices: [], cpuIds: [], memory: [] }, main],
  }],
};

Deno.test("who has which devices and CPUs: pods that have ended and init containers have none", async () => {
  await withServer(async ({ call, directory }) => {
    assertEquals((await call("list")).answer, listed);
    const old = await call("list", {}, { service: "v1alpha1.PodResourcesLister" });
    assertEquals((old.answer as ListPodResourcesResponse).podResources.length, 1);
    assertEquals((await call("get", { podName: "gpu", podNamespace: "default" })).answer, {
      podResources: listed.podResources[0],
    });
    const gone = await call("get", { podName: "over", podNamespace: "default" });
    assertEquals([gone.code, gone.details], [
      grpc.status.NOT_FOUND,
      "pod over in namespace default not found",
    ]);
    assertEquals((await call("getAllocatableResources")).answer, {
      devices: main.devices,
      cpuIds: [1n, 2n, 3n],
      memory: [],
    });
    const modes = [directory, `${directory}/kubelet.sock`].map((path) => Deno.statSync(path).mode! & 0o777);
    assertEquals(modes, [0o750, 0o600]);
  });
});

Deno.test("a client whose authority is the socket's path is answered", async () => {
  await withServer(async ({ call, directory }) => {
    const path = `${directory}/kubelet.sock`;
    for (const authority of [path, encodeURIComponent(path), "localhost"]) {
      assertEquals((await call("list", {}, { authority })).answer, listed, authority);
    }
  });
});

Deno.test("who asks too often is told so, and others as well, and soon is answered again", async () => {
  await withServer(async (lab) => {
    const answers = await Promise.all(Array.from({ length: 60 }, () => lab.call("list")));
    const refused = answers.filter((a) => a.code !== 0);
    assert(refused.length > 0 && refused.length < 60, `${refused.length} of 60`);
    assertEquals(
      new Set(refused.map((a) => `${a.code} ${a.details}`)),
      new Set(["8 rejected by rate limit"]),
    );
    for (let tries = 0; (await lab.call("list")).code !== 0; tries++) assert(tries < 1000);
    assertStringIncludes(
      lab.metrics,
      `kubelet_pod_resources_endpoint_requests_errors_list{server_api_version="v1"} `,
    );
  });
});

Deno.test("where somebody else answers the agent does not", async () => {
  await withServer(async ({ call, directory }) => {
    assertEquals((await call("list")).code, 0);
    const options = {
      host: createHost(),
      directory,
      metrics: createMetrics(),
      pods: () => [],
      allocatable: () => ({ devices: [], cpus: [] }),
    };
    await assertRejects(
      () => runPodResources(options, new AbortController().signal),
      Error,
      "another server",
    );
  });
});
