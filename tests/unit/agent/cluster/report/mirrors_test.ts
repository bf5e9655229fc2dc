/** Mirrors at the double, which admits of a node what NodeRestriction admits. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createOwnNode, watchOwnNode } from "../../../../../agent/cluster/node/own_node.ts";
import { watchPods } from "../../../../../agent/cluster/pods/pods.ts";
import { createMirrors, type Mirrors } from "../../../../../agent/cluster/report/mirrors.ts";
import { silentLog } from "../../../../../agent/lib/log.ts";
import type { Problem } from "../../../../../agent/model/errors.ts";
import { staticPod } from "../../../../../agent/sources/static_pod.ts";
import { type Cluster, startCluster } from "../../../../fakes/cluster/cluster.ts";
import { made } from "../../../../fakes/cluster/controllers.ts";
import { kinds } from "../../../../fakes/cluster/world.ts";
import { until } from "../../../../fakes/until.ts";
import { connected } from "../connected.ts";

const node = { commonName: "system:node:box", organizations: ["system:nodes"] };

const web = (image = "a:1", namespace = "default") =>
  staticPod(
    {
      metadata: { name: "web", namespace },
      spec: {
        volumes: [{ name: "c", configMap: { name: "local" } }],
        containers: [{ name: "a", image, volumeMounts: [{ name: "c", mountPath: "/c" }] }],
      },
    },
    "box",
    "/m/web.yaml",
  );

interface Bench {
  cluster: Cluster;
  mirrors: Mirrors;
  problems(): Problem[];
  names(): string[];
}

async function withMirrors(test: (bench: Bench) => Promise<void>): Promise<void> {
  await using cluster = await startCluster();
  made(cluster.world, kinds.node, undefined, "box");
  using api = await connected(cluster, { subject: node });
  const stop = new AbortController();
  let problems: Problem[] = [];
  const own = createOwnNode();
  const mirrors = createMirrors({
    api,
    nodeName: "box",
    own,
    monotonic: () => performance.now(),
    report: (found) => problems = found,
    random: () => 0,
  });
  const changed = (_pods: unknown, seen: Parameters<Mirrors["seen"]>[0]) => mirrors.seen(seen);
  const watching = watchPods({ api, nodeName: "box", log: silentLog, changed }, stop.signal);
  const looking = watchOwnNode({ api, nodeName: "box", own, log: silentLog }, stop.signal);
  const running = mirrors.run(stop.signal);
  const names = () => cluster.world.store.list(kinds.pod).map((p) => p.metadata.name);
  try {
    await test({ cluster, mirrors, problems: () => problems, names });
  } finally {
    stop.abort();
    await Promise.all([watching, looking, running]);
  }
}

const imageOf = ({ cluster }: Bench) =>
  (cluster.world.store.get(kinds.pod, "default", "web-box")?.spec as
    | { containers?: { image?: string }[] }
    | undefined)?.containers?.[0]?.image;

Deno.test("a static pod has a mirror; an edit replaces it, a deletion by somebody else brings another, its end takes it away", () =>
  withMirrors(async (bench) => {
    const { cluster, mirrors, names } = bench;
    mirrors.want([web()], true);
    await until("made", () => names().length === 1);
    mirrors.want([web("a:2")], true);
    await until("replaced", () => imageOf(bench) === "a:2");
    const first = cluster.world.store.get(kinds.pod, "default", "web-box")!;
    cluster.world.store.remove(kinds.pod, first);
    await until("made again", () => names().length === 1);
    mirrors.want([], true);
    await until("gone", () => names().length === 0);
  }));

Deno.test("mirrors of an earlier run stay until it is known which pods there are", () =>
  withMirrors(async ({ mirrors, names, cluster }) => {
    mirrors.want([web()], true);
    await until("made", () => names().length === 1);
    mirrors.want([], false);
    const asked = cluster.requests.length;
    mirrors.want([], false);
    assertEquals([names(), cluster.requests.length], [["web-box"], asked]);
    mirrors.want([], true);
    await until("gone", () => names().length === 0);
  }));

Deno.test("a mirror that is refused is told with what to do, tried again, and holds up no other", () =>
  withMirrors(async ({ mirrors, names, problems, cluster }) => {
    mirrors.want([web("a:1", "nowhere"), web()], true);
    await until("the other one", () => names().length === 1);
    await until("told", () => problems().length === 1);
    assertStringIncludes(problems()[0]!.message, "kubectl create namespace nowhere");
    assertEquals(problems()[0]!.file, "/m/web.yaml");
    made(cluster.world, kinds.namespace, undefined, "nowhere");
    await until("made", () => names().length === 2);
    await until("no longer told", () => problems().length === 0);
  }));
