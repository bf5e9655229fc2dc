import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { podHash } from "../../../../agent/model/hash.ts";
import { parseManifest } from "../../../../agent/model/manifest.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { createLab, now, runningPod } from "./lab.ts";
import { noObjects } from "../../../../agent/model/wish.ts";

Deno.test("get: tables, names, formats, namespaces, and what is not there", async () => {
  await using lab = await createLab();
  lab.store.putPod(runningPod("web"));
  lab.store.putPod(runningPod("db", { namespace: "prod" }));
  assertEquals(await lab.agent("get", "pods"), {
    code: 0,
    out: "NAME   READY   STATUS    RESTARTS   AGE\nweb    1/1     Running   0          5m\n",
    err: "",
  });
  assertEquals((await lab.agent("get", "po", "-A", "--no-headers")).out.split("\n").length, 3);
  assertEquals((await lab.agent("get", "pod/db", "-n", "prod", "-o", "name")).out, "pod/db\n");
  const json = JSON.parse((await lab.agent("get", "pod", "web", "-ojson")).out);
  assertEquals([json.kind, json.status.phase], ["Pod", "Running"]);
  assertStringIncludes((await lab.agent("get", "pods", "-o", "yaml")).out, "kind: List\n");
  assertEquals(await lab.agent("get", "pods", "-n", "none"), {
    code: 0,
    out: "",
    err: "No resources found in none namespace.\n",
  });
  assertEquals(await lab.agent("get", "pod", "nope"), {
    code: 1,
    out: "",
    err: 'Error: pods "nope" not found\n',
  });
  assertEquals(await lab.agent("get", "things"), {
    code: 2,
    out: "",
    err:
      'Error: expected one of pods, configmaps, secrets, runtimeclasses, persistentvolumeclaims, persistentvolumes, storageclasses, csidrivers, plugins, devices, events, problems, images, found "things"\n' +
      'See "agent help get".\n',
  });
});

Deno.test("get: events, problems, configmaps and secrets", async () => {
  await using lab = await createLab();
  const object = { kind: "Pod", namespace: "default", name: "web" };
  lab.store.addEvent({ type: "Warning", reason: "BackOff", message: "again", object }, now - 180_000);
  lab.store.addEvent({ type: "Warning", reason: "BackOff", message: "again", object }, now - 5_000);
  assertEquals(
    (await lab.agent("get", "events")).out,
    "LAST SEEN          TYPE      REASON    OBJECT    MESSAGE\n5s (x2 over 3m)   Warning   BackOff   pod/web   again\n"
      .replace("LAST SEEN          ", "LAST SEEN         "),
  );
  assertEquals((await lab.agent("get", "problems")).err, "No problems.\n");
  lab.store.setProblems("manifests", [{
    severity: "error",
    file: "/m/a.yaml",
    line: 2,
    field: "spec",
    message: "bad",
  }]);
  assertStringIncludes(
    (await lab.agent("get", "problems")).out,
    "error      /m/a.yaml:2            spec    bad\n",
  );
  lab.store.setObjects({
    ...noObjects,
    configMaps: new Map([["default/page", {
      metadata: { name: "page", namespace: "default" },
      data: { a: "1" },
    }]]),
    secrets: new Map([["default/key", {
      metadata: { name: "key", namespace: "default" },
      type: "Opaque",
      data: { p: "c2VjcmV0" },
    }]]),
  });
  assertStringIncludes((await lab.agent("get", "cm")).out, "page   1      <unknown>\n");
  assertEquals((await lab.agent("get", "secrets")).out, "NAME   TYPE     DATA\nkey    Opaque   1\n");
  assert(!(await lab.agent("get", "secrets", "-o", "yaml")).out.includes("c2VjcmV0"));
});

Deno.test("get -w prints a row for each change", async () => {
  await using lab = await createLab();
  const pod = runningPod("web");
  lab.store.putPod(pod);
  const stop = new AbortController();
  let text = "";
  lab.io.signal = stop.signal;
  lab.io.out = (chunk) => {
    text += chunk;
    if (text.includes("0/1")) stop.abort();
    else if (text.includes("1/1")) {
      const statuses = pod.status!.containerStatuses!.map((s) => ({
        ...s,
        ready: false,
        state: { waiting: {} },
      }));
      lab.store.putPod({ ...pod, status: { ...pod.status!, containerStatuses: statuses } });
    }
    return Promise.resolve();
  };
  assertEquals((await lab.agent("get", "pods", "-w")).code, 130);
  assertEquals(text.trim().split("\n").map((line) => line.split(/\s+/).slice(0, 2)), [
    ["NAME", "READY"],
    ["web", "1/1"],
    ["web", "0/1"],
  ]);
});

Deno.test("status, describe and config at one look", async () => {
  await using lab = await createLab();
  lab.store.putPod(runningPod("web", { restarts: 1 }));
  const object = { kind: "Pod", namespace: "default", name: "web", uid: "uid-default-web" };
  lab.store.addEvent(
    { type: "Normal", reason: "Started", message: "Started container app", object },
    now - 5_000,
  );
  lab.store.setProblems("manifests", [
    { severity: "error", file: "/m/web.yaml", line: 3, object: "Pod default/web", message: "unknown field" },
  ]);
  const status = (await lab.agent("status")).out;
  for (
    const part of [
      "node-1 (agent 1.2.3, up 60m)",
      "containerd 1.6.20",
      "1 error\n  /m/web.yaml:3: Pod default/web: unknown field",
    ]
  ) {
    assertStringIncludes(status, part);
  }
  assertEquals(JSON.parse((await lab.agent("status", "-o", "json")).out).status.nodeName, "node-1");
  const story = (await lab.agent("describe", "pod", "web")).out;
  for (
    const part of [
      "Name:         web\n",
      "    Restart Count:  1\n",
      "unknown field\nEvents:\n",
      "Started container app\n",
    ]
  ) {
    assertStringIncludes(story, part);
  }
  assertEquals(
    (await lab.agent("describe", "pod", "web", "-n", "x")).err,
    'Error: pods "web" not found in namespace x; there is one in namespace default (-n default)\n',
  );
  assertStringIncludes((await lab.agent("config")).out, "hostnameOverride  node-1  default\n");
  assertStringIncludes((await lab.agent("config", "--node-ip", "1.2.3.4")).out, "1.2.3.4");
});

Deno.test("logs: of the only container, a named one, the previous one, followed to its end", async () => {
  await using lab = await createLab();
  const pod = runningPod("web", { restarts: 1 });
  lab.store.putPod(pod);
  const directory = `${lab.directory}/logs/default_web_uid-default-web/app`;
  await Deno.mkdir(directory, { recursive: true });
  const entry = (text: string) => `2026-03-01T11:59:00Z stdout F ${text}\n`;
  await Deno.writeTextFile(`${directory}/0.log`, entry("crashed"));
  await Deno.writeTextFile(`${directory}/1.log`, entry("one") + entry("two"));
  assertEquals((await lab.agent("logs", "web")).out, "one\ntwo\n");
  assertEquals(
    (await lab.agent("logs", "pod/web", "app", "--tail", "1", "--timestamps")).out,
    "2026-03-01T11:59:00Z two\n",
  );
  assertEquals((await lab.agent("logs", "web", "--previous")).out, "crashed\n");
  assertEquals((await lab.agent("logs", "web", "--since", "10s")).out, "");
  assertEquals(await lab.agent("logs", "web", "-c", "x"), {
    code: 1,
    out: "",
    err: "Error: container x is not in pod web; it has: app\n",
  });

  let text = "";
  lab.io.out = (chunk) => {
    text += new TextDecoder().decode(chunk as Uint8Array);
    // The container ends once what it wrote so far has arrived.
    if (text.includes("two")) lab.store.removePod("uid-default-web");
    return Promise.resolve();
  };
  assertEquals((await lab.agent("logs", "-f", "web")).code, 0);
  assertEquals(text, "one\ntwo\n");
});

const manifest = (image: string) =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {a: "1"}\n---\n# the server\napiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - {name: app, image: "${image}"}\n`;

async function manifestFiles(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map((entry) => entry.name).sort();
}

Deno.test("apply writes checked manifests, says what became of each, and delete takes them out", async () => {
  await using lab = await createLab();
  lab.stdin.text = manifest("app:1");
  assertEquals(await lab.agent("apply", "-f", "-"), {
    code: 0,
    out: "configmap/page created\npod/web created\n",
    err: "",
  });
  assertEquals(await manifestFiles(lab.manifests), ["configmap-default-page.yaml", "pod-default-web.yaml"]);
  const path = `${lab.manifests}/pod-default-web.yaml`;
  assertStringIncludes(await Deno.readTextFile(path), "# the server\n");
  assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);

  lab.stdin.text = manifest("app:2");
  assertEquals(
    (await lab.agent("apply", "-f", "-", "--dry-run")).out,
    "configmap/page unchanged (dry run)\npod/web configured (dry run)\n",
  );
  assertStringIncludes(await Deno.readTextFile(path), "app:1");
  assertEquals((await lab.agent("apply", "-f", "-")).out, "configmap/page unchanged\npod/web configured\n");
  assertStringIncludes(await Deno.readTextFile(path), "app:2");

  assertEquals(await lab.agent("delete", "pod", "web"), { code: 0, out: "pod/web deleted\n", err: "" });
  assertEquals(
    (await lab.agent("delete", "pod", "web")).err,
    "Error: nothing was changed: Pod default/web is described by no file of the manifest directory\n",
  );
  lab.stdin.text = manifest("app:2");
  assertEquals((await lab.agent("delete", "-f", "-")).code, 1);
  assertEquals((await lab.agent("delete", "configmap", "page")).code, 0);
  assertEquals(await manifestFiles(lab.manifests), []);
});

Deno.test("apply changes nothing when a manifest has an error", async () => {
  await using lab = await createLab();
  lab.stdin.text = manifest("app:1").replace("containers:", "containrs:");
  const refused = await lab.agent("apply", "-f", "-");
  assertEquals([refused.code, refused.out], [1, ""]);
  assertStringIncludes(refused.err, "standard input:");
  assertStringIncludes(refused.err, 'did you mean "containers"?');
  assertStringIncludes(refused.err, "Error: nothing was changed: ");
  assertEquals(await manifestFiles(lab.manifests), []);
  assertEquals((await lab.agent("apply", "-f", "/none.yaml")).err, "Error: /none.yaml does not exist\n");
  assertEquals((await lab.agent("apply")).code, 2);
});

Deno.test("apply --wait waits for this version of the pod; delete --wait until it is gone", async () => {
  await using lab = await createLab();
  lab.stdin.text = manifest("app:1");
  const wished = parseManifest("x", lab.stdin.text).pods[0]!;
  const seen = (phase: Pod): Pod => ({
    ...phase,
    metadata: { ...phase.metadata!, annotations: { "kubernetes.io/config.hash": podHash(wished) } },
  });
  const old = runningPod("web");
  lab.store.putPod(old);
  lab.io.err = (chunk) => {
    const text = String(chunk);
    // The old version is ready, and not what is waited for.
    if (text.includes("not seen")) lab.store.putPod(seen({ ...old, status: { phase: "Pending" } }));
    if (text.includes("Pending")) lab.store.putPod(seen(old));
    return Promise.resolve();
  };
  assertEquals((await lab.agent("apply", "-f", "-", "--wait")).code, 0);
  lab.io.err = (chunk) => {
    const text = String(chunk);
    if (text.includes("Running")) lab.store.removePod("uid-default-web");
    return Promise.resolve();
  };
  assertEquals((await lab.agent("delete", "pod", "web", "--wait")).code, 0);
  lab.stdin.text = manifest("app:1");
  const late = await lab.agent("apply", "-f", "-", "--wait", "--timeout", "50ms");
  assertEquals(late.code, 1);
});

Deno.test("images: list, and pull and import with progress", async () => {
  await using lab = await createLab({
    list: () =>
      Promise.resolve([{
        id: "sha256:0123456789abcdef",
        repoTags: ["a.example:5000/app:1"],
        repoDigests: [],
        size: 2048,
      }]),
    pull: (image) =>
      image === "bad" ? Promise.reject(new Error("no such image")) : Promise.resolve(`${image}@sha256:1`),
    importArchive: (path) => Promise.resolve([path]),
  });
  assertEquals(
    (await lab.agent("images")).out,
    "IMAGE                TAG   IMAGE ID       SIZE\na.example:5000/app   1     0123456789ab   2.0 KiB\n",
  );
  assertEquals((await lab.agent("get", "images", "-o", "name")).out, "a.example:5000/app:1\n");
  const pulled = await lab.agent("images", "pull", "app:1", "bad");
  assertEquals([pulled.code, pulled.out], [1, "app:1@sha256:1\n"]);
  assertStringIncludes(pulled.err, "Error: bad: no such image\n");
  assertEquals((await lab.agent("images", "import", "x.tar")).out, `${lab.directory}/x.tar\n`);
  assertEquals((await lab.agent("images", "pull")).code, 2);
});

Deno.test("check: problems, their count, and the exit status", async () => {
  await using lab = await createLab();
  assertEquals(await lab.agent("check", "x.yaml"), { code: 0, out: "No problems.\n", err: "" });
  lab.io.check = () =>
    Promise.resolve([
      { severity: "warning", file: "a.yaml", line: 1, message: "doubtful" },
      { severity: "error", file: "a.yaml", line: 2, column: 3, field: "spec", message: "bad" },
    ]);
  assertEquals(await lab.agent("check", "a.yaml"), {
    code: 1,
    out: "a.yaml:1: warning: doubtful\na.yaml:2:3: spec: bad\n1 error, 1 warning\n",
    err: "",
  });
  assertEquals(JSON.parse((await lab.agent("check", "a.yaml", "-o", "json")).out).problems.length, 2);
});

Deno.test("an agent that does not run: what to try", async () => {
  await using lab = await createLab();
  const absent = await lab.agent("status", "--socket", `${lab.directory}/none.sock`);
  assertEquals([absent.code, absent.out], [1, ""]);
  assertStringIncludes(absent.err, "no agent runs here");
  assertStringIncludes(absent.err, "agent run");
  await Deno.writeTextFile(`${lab.directory}/dead.sock`, "");
  assertStringIncludes(
    (await lab.agent("status", "--socket", `${lab.directory}/dead.sock`)).err,
    "has stopped",
  );
});

Deno.test("help, version and what is typed wrongly", async () => {
  await using lab = await createLab();
  assertEquals(await lab.agent("version"), {
    code: 0,
    out: "agent 1.2.3 (commit abc, deno 2.9.6, source)\n",
    err: "",
  });
  assertEquals((await lab.agent()).out, (await lab.agent("help")).out);
  assertEquals((await lab.agent("get", "-h")).out, (await lab.agent("help", "get")).out);
  assertEquals(await lab.agent("gte"), {
    code: 2,
    out: "",
    err: 'Error: unknown command "gte"; did you mean "get"?\nSee "agent help".\n',
  });
  assertEquals(
    (await lab.agent("logs")).err,
    'Error: "agent logs" needs POD or --selector LABELS\nSee "agent help logs".\n',
  );
});

Deno.test("colours only on a terminal, and never against NO_COLOR", async () => {
  await using lab = await createLab();
  lab.store.putPod(runningPod("web"));
  lab.io.outIsTerminal = true;
  assertStringIncludes((await lab.agent("get", "pods")).out, "\x1b[32mRunning\x1b[0m");
  const env = lab.io.env;
  lab.io.env = (name) => name === "NO_COLOR" ? "1" : env(name);
  assert(!(await lab.agent("get", "pods")).out.includes("\x1b"));
});

Deno.test("describe shows each probe with its last result", async () => {
  await using lab = await createLab();
  const pod = runningPod("web");
  const exec = { command: ["check"] };
  Object.assign(pod.spec!.containers[0]!, {
    readinessProbe: { exec },
    livenessProbe: { exec },
    startupProbe: { exec },
  });
  lab.store.putPod(pod);
  const { out } = await lab.agent("describe", "pod", "web");
  const probe = String.raw`exec \[check\] delay=0s timeout=1s period=10s #success=1 #failure=3`;
  assertMatch(out, new RegExp(`^ +Liveness: +${probe}\n +Last Result: +not asked yet$`, "m"));
  assertMatch(
    out,
    new RegExp(`^ +Readiness: +${probe}\n +Last Result: +failure 3s ago \\(2 of 3 in a row\\): no`, "m"),
  );
  assertMatch(out, new RegExp(`^ +Startup: +${probe}\n +Environment:`, "m"));
  assert(!out.includes("\u001b"));
});
