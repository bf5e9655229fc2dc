/** Volumes as containers see them, and as they change under them. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Volume } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, isReady } from "./agent.ts";
import { until } from "./containerd.ts";
import { configMap, identityOf, podOf, secret, shell, statusOf, stay, waitingReason } from "./pods.ts";

async function checkSecretAndMemory(agent: AgentUnderTest): Promise<void> {
  const script = [
    "cat /keys/password; echo",
    "stat -L -c '%a %n' /keys/password /keys/deep/token",
    "grep ' /keys ' /proc/mounts",
    "grep ' /scratch ' /proc/mounts",
    "ls /keys",
    "touch /keys/new 2>&1",
    "echo kept > /scratch/file && cat /scratch/file",
    "ls /absent | wc -l",
  ].join("; ");
  await agent.write(
    "secret.yaml",
    secret("keys", { password: "s3cr3t", token: "t0ken", unused: "x" }),
    podOf("secret", [
      shell("main", script, {
        volumeMounts: [
          { name: "keys", mountPath: "/keys" },
          { name: "scratch", mountPath: "/scratch" },
          { name: "absent", mountPath: "/absent" },
        ],
      }),
    ], {
      restartPolicy: "Never",
      volumes: [
        {
          name: "keys",
          secret: {
            secretName: "keys",
            defaultMode: 0o440,
            items: [{ key: "password", path: "password" }, { key: "token", path: "deep/token", mode: 0o400 }],
          },
        },
        { name: "scratch", emptyDir: { medium: "Memory", sizeLimit: "4Mi" } },
        { name: "absent", configMap: { name: "nowhere", optional: true } },
      ],
    }),
  );
  const pod = await agent.untilEnded("secret");
  const lines = (await agent.logs("secret", "main")).trimEnd().split("\n");
  assertEquals(lines.slice(0, 3), ["s3cr3t", "440 /keys/password", "400 /keys/deep/token"]);
  assertMatch(lines[3]!, /^tmpfs \/keys tmpfs ro/);
  assertMatch(lines[4]!, /^tmpfs \/scratch tmpfs rw.*size=4096k/);
  assertEquals(lines.slice(5, 7), ["deep", "password"]);
  assertStringIncludes(lines[7]!, "Read-only file system");
  assertEquals(lines.slice(8), ["kept", "0"]);
  assertEquals(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 0);
}

async function checkHostPaths(agent: AgentUnderTest): Promise<void> {
  const base = `${agent.directory}/host`;
  await Deno.mkdir(`${base}/dir`, { recursive: true });
  await Deno.writeTextFile(`${base}/dir/file`, "on the host\n");
  const listener = Deno.listen({ transport: "unix", path: `${base}/sock` });
  const volume = (name: string, path: string, type?: string): Volume => ({
    name,
    hostPath: { path, ...(type === undefined ? {} : { type }) },
  });
  const volumes = [
    volume("plain", `${base}/dir`),
    volume("dir", `${base}/dir`, "Directory"),
    volume("file", `${base}/dir/file`, "File"),
    volume("socket", `${base}/sock`, "Socket"),
    volume("device", "/dev/null", "CharDevice"),
    volume("made-dir", `${base}/made/dir`, "DirectoryOrCreate"),
    volume("made-file", `${base}/made-file`, "FileOrCreate"),
  ];
  const script =
    "cat /v/plain/file; cat /v/file; echo out > /v/made-file; echo out > /v/made-dir/x; ls -l /v | cut -c1";
  await agent.write(
    "paths.yaml",
    podOf("paths", [
      shell("main", script.replace("| cut -c1", "| grep -c rw"), {
        volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/v/${name}` })),
      }),
    ], { restartPolicy: "Never", volumes }),
  );
  for (
    const [name, path, type] of [
      ["absent", `${base}/none`, "Directory"],
      ["notfile", `${base}/dir`, "File"],
      ["notsocket", `${base}/dir/file`, "Socket"],
    ] as const
  ) {
    await agent.write(
      `${name}.yaml`,
      podOf(name, [shell("main", stay, { volumeMounts: [{ name: "v", mountPath: "/v" }] })], {
        volumes: [volume("v", path, type)],
      }),
    );
  }
  await agent.untilEnded("paths");
  listener.close();
  assertMatch(await agent.logs("paths", "main"), /^on the host\non the host\n/);
  assertEquals(await Deno.readTextFile(`${base}/made-file`), "out\n");
  assertEquals(await Deno.readTextFile(`${base}/made/dir/x`), "out\n");
  assertEquals((await Deno.stat(`${base}/made`)).mode! & 0o777, 0o755);
  for (const [name, what] of [["absent", "none"], ["notfile", "dir"], ["notsocket", "file"]] as const) {
    await agent.untilPod(name, "waits", (p) => waitingReason(p, "main") === "ContainerCreating");
    let said = "";
    await until(`an event of ${name} names ${what}`, async () => {
      const { stdout } = await agent.cli("describe", "pod", name);
      return /FailedMount/.test(said = stdout) &&
        said.includes(`${base}/${what === "file" ? "dir/file" : what}`);
    }).catch((error) => {
      throw new Error(`${error}\n${said}`);
    });
    await agent.remove(`${name}.yaml`);
    await agent.untilGone(name);
  }
  await Deno.mkdir(`${base}/none`);
  assert(!isReady(await agent.pod("paths") ?? {}));
}

async function checkUpdates(agent: AgentUnderTest): Promise<void> {
  const script = `while :; do cat /map/key /keys/key 2>/dev/null; echo; sleep 0.1; done & ${stay}`;
  const pod = podOf("updates", [
    shell("main", script, {
      volumeMounts: [{ name: "map", mountPath: "/map" }, { name: "keys", mountPath: "/keys" }],
    }),
  ], {
    volumes: [{ name: "map", configMap: { name: "live" } }, { name: "keys", secret: { secretName: "live" } }],
  });
  await agent.write("updates-pod.yaml", pod);
  await agent.write("updates-map.yaml", configMap("live", { key: "map one " }));
  await agent.write("updates-secret.yaml", secret("live", { key: "secret one" }));
  const before = await agent.untilReady("updates");
  await agent.untilLog("updates", "main", /map one secret one\n/);
  for (
    const [file, object, pattern] of [
      ["updates-map.yaml", configMap("live", { key: "map two " }), /map two secret one\n/],
      ["updates-secret.yaml", secret("live", { key: "secret two" }), /map two secret two\n/],
    ] as const
  ) {
    const written = performance.now();
    await agent.write(file, object);
    await agent.untilLog("updates", "main", pattern);
    const ms = performance.now() - written;
    assert(ms < 2000, `seen after ${ms} ms`);
  }
  assertEquals(identityOf((await agent.pod("updates"))!), identityOf(before));
  const seen = new Set((await agent.logs("updates", "main")).split("\n").filter((line) => line !== ""));
  assertEquals(
    [...seen].sort(),
    ["map one secret one", "map two secret one", "map two secret two"],
    "never half",
  );
}

async function checkWaiting(agent: AgentUnderTest): Promise<void> {
  const pod = podOf("patient", [
    shell("main", `cat /map/key; echo; ${stay}`, { volumeMounts: [{ name: "map", mountPath: "/map" }] }),
  ], { volumes: [{ name: "map", configMap: { name: "later" } }] });
  await agent.write("patient.yaml", pod);
  await agent.untilPod("patient", "waits", (p) => waitingReason(p, "main") !== undefined);
  await until("what it lacks is said", async () => {
    const problems = await agent.problems();
    return problems.some((p) => p.message.includes("later")) ||
      (await agent.cli("describe", "pod", "patient")).stdout.includes("later");
  });
  const written = performance.now();
  await agent.write("later.yaml", configMap("later", { key: "came" }));
  await agent.untilReady("patient");
  assert(performance.now() - written < 3000, "at once, not after a back-off");
  assertMatch(await agent.untilLog("patient", "main", /came/), /came/);
}

/** The container that used them is replaced; the other, and what it uses, stays. A kill in between loses nothing. */
async function checkDropped(agent: AgentUnderTest): Promise<void> {
  const podWith = (names: string[]) =>
    podOf("dropping", [
      shell("user", stay, {
        volumeMounts: names.map((name) => ({
          name,
          mountPath: `/${name}`,
          ...(name === "disk" && { subPath: "a" }),
        })),
      }),
      shell("other", stay, { volumeMounts: [{ name: "kept", mountPath: "/kept" }] }),
    ], {
      volumes: ["kept", ...names].map((name) => ({
        name,
        emptyDir: name === "disk" ? {} : { medium: "Memory", sizeLimit: "1Mi" },
      })),
    });
  await agent.write("dropping.yaml", podWith(["disk", "memory"]));
  const before = await agent.untilReady("dropping");
  const pod = `${agent.root}/pods/${before.metadata!.uid}`;
  const mounts = async () =>
    (await Deno.readTextFile("/proc/self/mountinfo")).split("\n").filter((line) => line.includes(` ${pod}/`))
      .length;
  assertEquals(await mounts(), 3);
  await agent.write("dropping.yaml", podWith([]));
  await agent.kill();
  await agent.start();
  await until("what was dropped is gone", async () => {
    const left = [...Deno.readDirSync(`${pod}/volumes/kubernetes.io~empty-dir`)].map((e) => e.name);
    return left.length === 1 && left[0] === "kept" && await mounts() === 1;
  });
  const after = await agent.untilReady("dropping");
  assertEquals(statusOf(after, "other").containerID, statusOf(before, "other").containerID);
  await agent.remove("dropping.yaml");
  await agent.untilGone("dropping");
}

Deno.test("volumes", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step("secrets and memory are tmpfs, with modes and items", () => checkSecretAndMemory(agent));
  await t.step(
    "host paths of every type; a wrong type keeps the pod waiting and says why",
    () => checkHostPaths(agent),
  );
  await t.step("changed ConfigMaps and Secrets reach mounted files within 2 s", () => checkUpdates(agent));
  await t.step("a pod waits for its ConfigMap and starts when it comes", () => checkWaiting(agent));
  await t.step(
    "volumes that an edit drops are unmounted and removed while the pod goes on",
    () => checkDropped(agent),
  );
});
