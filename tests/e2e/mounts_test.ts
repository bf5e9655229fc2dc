/** How volumes get into containers: propagation, read-only all the way down, sub paths, variables from files. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { VolumeMount } from "../../agent/model/gen/v1.ts";
import { type AgentUnderTest, createAgent, output } from "./agent.ts";
import { until } from "./containerd.ts";
import { podOf, shell, statusOf, stay, waitingReason } from "./pods.ts";

const list = async (agent: AgentUnderTest, container: string, path: string): Promise<string> =>
  (await agent.cli("exec", "propagation", "-c", container, "--", "ls", path)).stdout.trim();

async function checkPropagation(agent: AgentUnderTest): Promise<void> {
  const base = `${agent.directory}/shared`;
  await Deno.mkdir(`${base}/of-host`, { recursive: true });
  await Deno.mkdir(`${base}/of-container`);
  await output("mount", ["--bind", base, base]);
  try {
    await output("mount", ["--make-rshared", base]);
    const mounting = (name: string, mountPropagation?: string) =>
      shell(
        name,
        name === "both" ? `mount -t tmpfs x /v/of-container && touch /v/of-container/seen; ${stay}` : stay,
        {
          securityContext: { privileged: name === "both" },
          volumeMounts: [{ name: "v", mountPath: "/v", ...(mountPropagation && { mountPropagation }) }],
        },
      );
    await agent.write(
      "propagation.yaml",
      podOf("propagation", [
        mounting("none", "None"),
        mounting("down", "HostToContainer"),
        mounting("both", "Bidirectional"),
      ], {
        volumes: [{ name: "v", hostPath: { path: base } }],
      }),
    );
    await agent.untilReady("propagation");
    await until(
      "Bidirectional: the host sees what the container mounts",
      () => Deno.stat(`${base}/of-container/seen`).then(() => true, () => false),
    );
    await output("mount", ["-t", "tmpfs", "x", `${base}/of-host`]);
    await Deno.writeTextFile(`${base}/of-host/seen`, "");
    for (const [container, expected] of [["none", ""], ["down", "seen"], ["both", "seen"]] as const) {
      for (const directory of ["of-host", "of-container"]) {
        assertEquals(await list(agent, container, `/v/${directory}`), expected, `${container} ${directory}`);
      }
    }
    await agent.remove("propagation.yaml");
    await agent.untilGone("propagation");
  } finally {
    for (const path of [`${base}/of-host`, `${base}/of-container`, base]) {
      await output("umount", ["-l", path]);
    }
  }
}

async function checkReadOnly(agent: AgentUnderTest): Promise<void> {
  const mounts: VolumeMount[] = [
    { name: "v", mountPath: "/plain" },
    { name: "v", mountPath: "/ro", readOnly: true },
    { name: "v", mountPath: "/maybe", readOnly: true, recursiveReadOnly: "IfPossible" },
  ];
  const script = `touch /ro/x 2>&1; touch /maybe/x 2>&1; touch /plain/x && ls /ro; ${stay}`;
  await agent.write(
    "readonly.yaml",
    podOf("readonly", [
      shell("main", script, { volumeMounts: mounts }),
      shell("strict", stay, {
        volumeMounts: [{ name: "v", mountPath: "/v", readOnly: true, recursiveReadOnly: "Enabled" }],
      }),
    ], { volumes: [{ name: "v", emptyDir: {} }] }),
  );
  assertEquals(
    await agent.untilLog("readonly", "main", /\nx\n/),
    "touch: /ro/x: Read-only file system\ntouch: /maybe/x: Read-only file system\nx\n",
  );
  const pod = await agent.untilPod(
    "readonly",
    "refuses recursiveReadOnly: Enabled",
    (p) => waitingReason(p, "strict") === "CreateContainerConfigError",
  );
  assertMatch(
    statusOf(pod, "strict").state?.waiting?.message ?? "",
    /requested recursive read-only mode, but it is not supported/,
  );
  assertEquals(statusOf(pod, "main").volumeMounts, [
    { name: "v", mountPath: "/plain" },
    { name: "v", mountPath: "/ro", readOnly: true, recursiveReadOnly: "Disabled" },
    { name: "v", mountPath: "/maybe", readOnly: true, recursiveReadOnly: "Disabled" },
  ]);
  await agent.remove("readonly.yaml");
}

async function checkSubPaths(agent: AgentUnderTest): Promise<void> {
  const mount = (more: Partial<VolumeMount>): VolumeMount => ({ name: "v", mountPath: "/logs", ...more });
  const writer = (name: string, more: Partial<VolumeMount>, env = "") =>
    shell(name, `echo ${name} > /logs/file; cat /logs/file; ${stay}`, {
      volumeMounts: [mount(more)],
      env: [
        { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
        ...env === "" ? [] : [{ name: "DIR", value: env }],
      ],
    });
  await agent.write(
    "subpaths.yaml",
    podOf("subpaths", [
      writer("plain", { subPath: "a/b" }),
      writer("expr", { subPathExpr: "$(POD)/$$(DIR)/$(DIR)" }, "deep/er"),
      writer("unset", { subPathExpr: "$(POD)/$(NOPE)" }),
      writer("climbs", { subPathExpr: "$(DIR)/x" }, "../.."),
      writer("absolute", { subPathExpr: "$(DIR)" }, "/etc"),
      shell("reader", stay, { volumeMounts: [{ name: "v", mountPath: "/v" }] }),
    ], { volumes: [{ name: "v", emptyDir: {} }] }),
  );
  const refused: [string, RegExp][] = [
    ["unset", /missing value for NOPE/],
    ["climbs", /must not contain '\.\.'/],
    ["absolute", /must not be an absolute path/],
  ];
  for (const [container, message] of refused) {
    const pod = await agent.untilPod(
      "subpaths",
      `refuses ${container}`,
      (p) => waitingReason(p, container) === "CreateContainerConfigError",
    );
    assertMatch(statusOf(pod, container).state?.waiting?.message ?? "", message);
  }
  for (const container of ["plain", "expr"]) {
    assertEquals(await agent.untilLog("subpaths", container, /\n/), `${container}\n`);
  }
  const { stdout } = await agent.cli(
    "exec",
    "subpaths",
    "-c",
    "reader",
    "--",
    "sh",
    "-c",
    "cat /v/a/b/file '/v/subpaths/$(DIR)/deep/er/file'",
  );
  assertEquals(stdout, "plain\nexpr\n");
  await agent.remove("subpaths.yaml");
}

async function checkEnvFiles(agent: AgentUnderTest): Promise<void> {
  const fileKeyRef = (key: string, optional = false) => ({
    valueFrom: { fileKeyRef: { volumeName: "shared", path: "conf/app.env", key, optional } },
  });
  const volumeMounts = [{ name: "shared", mountPath: "/out" }];
  const write = `mkdir /out/conf; printf "# made\\nTOKEN='s3 \\$(X)'\\nTWO='a\\nb'\\n" > /out/conf/app.env`;
  await agent.write(
    "envfile.yaml",
    podOf("envfile", [
      shell("main", `echo "$TOKEN|$TWO|\${NONE-unset}"; ${stay}`, {
        env: [{ name: "TOKEN", ...fileKeyRef("TOKEN") }, { name: "TWO", ...fileKeyRef("TWO") }, {
          name: "NONE",
          ...fileKeyRef("NONE", true),
        }],
      }),
      shell("missing", stay, { env: [{ name: "NONE", ...fileKeyRef("NONE") }] }),
    ], {
      initContainers: [shell("init", write, { volumeMounts })],
      volumes: [{ name: "shared", emptyDir: {} }],
    }),
  );
  assertEquals(await agent.untilLog("envfile", "main", /unset/), "s3 $(X)|a\nb|unset\n");
  const pod = await agent.untilPod(
    "envfile",
    "misses a key",
    (p) => waitingReason(p, "missing") === "CreateContainerConfigError",
  );
  assertMatch(
    statusOf(pod, "missing").state?.waiting?.message ?? "",
    /key "NONE" not found in file "conf\/app.env" of volume "shared"/,
  );
  await agent.remove("envfile.yaml");
}

Deno.test("mounts and what they bring", async (t) => {
  await using agent = await createAgent();
  await agent.start();
  await t.step("mountPropagation None, HostToContainer and Bidirectional", () => checkPropagation(agent));
  await t.step(
    "readOnly, recursiveReadOnly and what status.volumeMounts says of them",
    () => checkReadOnly(agent),
  );
  await t.step(
    "subPath and subPathExpr are made inside the volume, and refused as the kubelet does",
    () => checkSubPaths(agent),
  );
  await t.step("fileKeyRef: an init container writes variables for the others", () => checkEnvFiles(agent));
  assert((await agent.problems()).length === 0);
});
