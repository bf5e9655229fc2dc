// CDI specs in directories of the test's own, on the real Host: followed, believed or not, offered, carried out.
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { ContainerSpec } from "../../../../agent/model/container.ts";
import type { ContainerEdits } from "../../../../agent/model/edits.ts";
import { AgentError, formatProblem, type Problem } from "../../../../agent/model/errors.ts";
import { locateProblems } from "../../../../agent/sources/locate.ts";
import { type CdiRuntime, createCdi, withDeviceGroups } from "../../../../plugins/local_devices/mod.ts";
import { following, host, mknod } from "./nodes.ts";

const signal = new AbortController().signal;

function make(directory: string, runtime: CdiRuntime = { name: "containerd 1.6.20", takesNames: false }) {
  const problems: Problem[] = [];
  const waiting = new Set<() => void>();
  /** Resolves once a problem has this in its text. */
  const reported = async (text: string) => {
    while (!problems.some((problem) => problem.message.includes(text))) {
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  };
  const cdi = createCdi({
    host,
    directories: [`${directory}/etc`, `${directory}/run`],
    offersResources: true,
    runtime: () => Promise.resolve(runtime),
    locate: locateProblems,
    report(list) {
      problems.splice(0, problems.length, ...list);
      waiting.forEach((resolve) => resolve());
    },
  });
  return Object.assign(cdi, { problems, reported });
}

/** The parts of a container that CDI looks at. */
const container = (edits: Partial<ContainerEdits>, env: ContainerSpec["env"] = []): ContainerSpec =>
  ({ env, edits: { owner: "test", ...edits }, sandbox: {} }) as unknown as ContainerSpec;

const spec = (directory: string, name: string, extra = "") =>
  `---
cdiVersion: 0.5.0
kind: vendor.com/class
containerEdits:
  env: [SPEC=yes]
devices:
- name: ${name}
  containerEdits:
    deviceNodes: [{ path: /dev/thing, hostPath: ${directory}/node, permissions: r }]
    mounts: [{ hostPath: ${directory}, containerPath: /data, options: [ro, bind] }]
${extra}`;

Deno.test("CDI specs are followed: devices come, are unhealthy without their node, and go", () => {
  let problems: Problem[] = [];
  return following((directory) => {
    const cdi = make(directory);
    problems = cdi.problems;
    return cdi;
  }, async (directory, source, until) => {
    await Deno.mkdir(`${directory}/etc`);
    await Deno.writeTextFile(`${directory}/etc/vendor.yaml`, spec(directory, "one"));
    await until((o) => o["vendor.com/class"]?.[0] === "one!");
    await mknod(`${directory}/node`, "c", 1, 3);
    await until((o) => o["vendor.com/class"]?.[0] === "one");
    assertEquals(await source.allocate("vendor.com/class", ["one"], signal), {
      owner: "CDI device vendor.com/class",
      cdiDevices: ["vendor.com/class=one"],
    });
    await Deno.remove(`${directory}/node`);
    await until((o) => o["vendor.com/class"]?.[0] === "one!");
    await Deno.writeTextFile(
      `${directory}/etc/vendor.yaml`,
      spec(directory, "one", "    hooks: [{ hookName: prestart, path: /bin/hook }]\n- name: two\n"),
    );
    await until((o) => o["vendor.com/class"] === undefined);
    assertEquals(problems.map(formatProblem), [
      `${directory}/etc/vendor.yaml:12:3: devices[1].containerEdits: ` +
      "required: expected a mapping",
    ]);
    await Deno.writeTextFile(
      `${directory}/etc/vendor.yaml`,
      spec(directory, "one", "    hooks: [{ hookName: prestart, path: /bin/hook }]\n"),
    );
    // The other directory makes a change that is to be seen, after this one was read.
    await Deno.mkdir(`${directory}/run`);
    await Deno.writeTextFile(`${directory}/run/b.json`, spec(directory, "three"));
    await until((o) => o["vendor.com/class"]?.join() === "three!");
    assertEquals(problems.map(formatProblem), [
      `${directory}/etc/vendor.yaml:11:12: devices[0].containerEdits.hooks: hooks cannot be passed on to containerd ` +
      "1.6.20, so that nobody gets the device: expected a runtime that takes CDI devices itself",
    ]);
    await Deno.remove(`${directory}/run`, { recursive: true });
    await until((o) => o["vendor.com/class"] === undefined);
  });
});

Deno.test("a node whose numbers the spec says need not be there where the runtime makes it", async () => {
  for (const takesNames of [true, false]) {
    await following(
      (directory) => make(directory, { name: "containerd", takesNames }),
      async (directory, _, until) => {
        await Deno.mkdir(`${directory}/etc`);
        const device = (name: string, more: object) => ({
          name,
          containerEdits: { deviceNodes: [{ path: `/dev/not-there`, ...more }] },
        });
        const devices = [device("made", { type: "c", major: 1, minor: 3 }), device("named", { type: "c" })];
        const text = JSON.stringify({ cdiVersion: "0.5.0", kind: "vendor.com/class", devices });
        await Deno.writeTextFile(`${directory}/etc/a.json`, text);
        await until((o) => o["vendor.com/class"]?.join() === (takesNames ? "made,named!" : "made!,named!"));
      },
    );
  }
});

Deno.test("specs that others than root could have written are not believed", async () => {
  const directory = await Deno.makeTempDir({ prefix: "local-devices-" });
  const cdi = make(directory);
  const end = new AbortController();
  const refused = async (change: () => Promise<unknown>) => {
    await change();
    const asked = container({ cdiDevices: ["vendor.com/class=one"] });
    const error = await assertRejects(() => cdi.carryOut(asked, signal), AgentError);
    assertEquals(error.reason, "CreateContainerConfigError");
    assertStringIncludes(error.message, "is not described by any spec");
  };
  const file = `${directory}/etc/vendor.yaml`;
  try {
    await Deno.mkdir(`${directory}/etc`, { mode: 0o755 });
    await mknod(`${directory}/node`, "c", 1, 3);
    await Deno.writeTextFile(file, spec(directory, "one"), { mode: 0o644 });
    await cdi.carryOut(container({ cdiDevices: ["vendor.com/class=one"] }), signal);
    await refused(() => Deno.chmod(file, 0o646));
    await refused(() => Deno.chmod(file, 0o644).then(() => Deno.chown(file, 1000, 0)));
    await refused(() => Deno.chown(file, 0, 1000).then(() => Deno.chmod(file, 0o664)));
    const running = cdi.run(end.signal);
    await Deno.chown(file, 0, 0);
    await Deno.chmod(file, 0o644);
    await cdi.carryOut(container({ cdiDevices: ["vendor.com/class=one"] }), signal);
    await refused(() => Deno.chmod(`${directory}/etc`, 0o777));
    await refused(() =>
      Deno.chmod(`${directory}/etc`, 0o755).then(() => Deno.chown(`${directory}/etc`, 1, 1))
    );
    await cdi.reported("the CDI specs in it are not used");
    end.abort();
    await running;
    await refused(async () => {
      await Deno.chown(`${directory}/etc`, 0, 0);
      await Deno.remove(file);
      await new Deno.Command("mkfifo", { args: [file] }).output();
    });
  } finally {
    end.abort();
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a container is told what its CDI devices change, and they win", async () => {
  const directory = await Deno.makeTempDir({ prefix: "local-devices-" });
  try {
    await Deno.mkdir(`${directory}/etc`);
    await Deno.writeTextFile(`${directory}/etc/vendor.yaml`, spec(directory, "one"));
    await mknod(`${directory}/node`, "c", 1, 3);
    await Deno.chown(`${directory}/node`, 0, 20);
    const asked = container({
      cdiDevices: ["vendor.com/class=one"],
      mounts: [
        { hostPath: "/a", containerPath: "/data", readonly: false },
        { hostPath: "/b", containerPath: "/other", readonly: false },
      ],
      devices: [{ hostPath: "/dev/null", containerPath: "/dev/thing", permissions: "rw" }],
    }, [{ name: "SPEC", value: "no" }, { name: "OWN", value: "own" }]);
    const told = await make(directory).carryOut(asked, signal);
    assertEquals(told.env, [{ name: "OWN", value: "own" }, { name: "SPEC", value: "yes" }]);
    assertEquals(told.edits, {
      owner: "test",
      cdiDevices: [],
      mounts: [
        { hostPath: "/b", containerPath: "/other", readonly: false },
        { hostPath: directory, containerPath: "/data", readonly: true },
      ],
      devices: [{ hostPath: `${directory}/node`, containerPath: "/dev/thing", permissions: "r" }],
      groups: [],
    });
    assertEquals((await withDeviceGroups(host, told)).edits.groups, [20]);
    const inside = { ...told, sandbox: { ...told.sandbox, userNamespace: { first: 65536, length: 65536 } } };
    assertEquals((await withDeviceGroups(host, inside)).edits.groups, []);
    const byRuntime = make(directory, { name: "containerd 2.1.0", takesNames: true });
    assertEquals(await byRuntime.carryOut(asked, signal), asked);
    await Deno.remove(`${directory}/node`);
    const error = await assertRejects(() => make(directory).carryOut(asked, signal), AgentError);
    assertEquals(error.message, `device node ${directory}/node does not exist on this host`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
