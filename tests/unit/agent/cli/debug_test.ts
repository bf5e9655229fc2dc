import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { debugContainer, randomName } from "../../../../agent/cli/debug.ts";
import { parseCommandLine, type ParsedArgs } from "../../../../agent/cli/command.ts";
import { debug } from "../../../../agent/cli/debug.ts";
import type { EphemeralContainer } from "../../../../agent/model/gen/v1.ts";
import { createLab, runningPod } from "./lab.ts";

const typed = (...words: string[]): ParsedArgs => parseCommandLine(debug, ["web", ...words]);

Deno.test("what a debug container is, from what is typed: profiles, streams, variables, custom parts", () => {
  const made = (words: string[], command: string[] = [], custom: Partial<EphemeralContainer> = {}) =>
    debugContainer(typed("--image", "busybox", ...words), "look", command, custom);
  const general = { capabilities: { add: ["SYS_PTRACE"] } };
  assertEquals(made([]), { name: "look", image: "busybox", securityContext: general });
  assertEquals(made(["-it", "--target", "app", "--profile", "baseline"], ["sh", "-c", "x"]), {
    name: "look",
    image: "busybox",
    targetContainerName: "app",
    command: ["sh", "-c", "x"],
    stdin: true,
    tty: true,
  });
  assertEquals(made(["-i"]).stdinOnce, true);
  assertEquals(made(["--profile", "sysadmin"]).securityContext, { privileged: true });
  assertEquals(made(["--profile", "netadmin"]).securityContext?.capabilities, {
    add: ["NET_ADMIN", "NET_RAW"],
  });
  assertEquals(made(["--profile", "restricted"]).securityContext?.runAsNonRoot, true);
  assertEquals(made(["--arguments-only"], ["x"]).args, ["x"]);
  const custom = { env: [{ name: "A", value: "1" }], securityContext: { runAsUser: 1 } };
  const both = made(["--env", "B=2=3", "--env", "C="], [], custom);
  assertEquals(both.env?.map(({ name, value }) => `${name}=${value}`), ["A=1", "B=2=3", "C="]);
  assertEquals(both.securityContext, { runAsUser: 1 });
  assertEquals(debugContainer(typed(), "look", [], { image: "mine" }).image, "mine");
  assertMatch(randomName(new Uint8Array([0, 1, 255, 128, 7])), /^debugger-[a-z0-9]{5}$/);
});

Deno.test("debug asks the agent and goes; it stays with -i and ends as the container did", async () => {
  await using lab = await createLab();
  lab.store.putPod(runningPod("web"));
  assertEquals(await lab.agent("debug", "web"), {
    code: 2,
    out: "",
    err: 'Error: "agent debug" needs --image IMAGE\nSee "agent help debug".\n',
  });
  const { code, out, err } = await lab.agent("debug", "web", "--image", "busybox", "--", "true");
  assertEquals([code, out], [0, ""]);
  assertMatch(err, /^Defaulting debug container name to debugger-[a-z0-9]{5}\.\n$/);
  const [[what, uid, container]] = lab.asked as [[string, string, EphemeralContainer]];
  assertEquals([what, uid, container.command, container.imagePullPolicy], [
    "addEphemeral",
    "uid-default-web",
    ["true"],
    "Always",
  ]);
  assertStringIncludes(
    (await lab.agent("debug", "web", "--image", "b", "--target", "nope")).err,
    'targetContainerName: expected one of app, got "nope"',
  );
  const shown = (state: object) => {
    const pod = runningPod("web");
    lab.store.putPod({
      ...pod,
      status: {
        ...pod.status,
        ephemeralContainerStatuses: [
          { name: "look", image: "b", imageID: "", ready: false, restartCount: 0, state },
        ],
      },
    });
  };
  shown({ waiting: { reason: "ErrImageNeverPull", message: "not here" } });
  const stuck = await lab.agent("debug", "web", "--image", "b", "-c", "look", "--attach");
  assertEquals([stuck.code, stuck.err], [
    1,
    "Error: container look does not start: ErrImageNeverPull: not here\n",
  ]);
  const base = runningPod("web");
  lab.store.putPod({ ...base, status: { ...base.status, phase: "Succeeded" } });
  assertStringIncludes((await lab.agent("debug", "web", "--image", "b")).err, "has ended (Succeeded)");
  const annotations = { "kubernetes.io/config.source": "api" };
  lab.store.putPod({ ...runningPod("web"), metadata: { ...runningPod("web").metadata, annotations } });
  assertStringIncludes((await lab.agent("debug", "web", "--image", "b")).err, "use kubectl debug");
});
