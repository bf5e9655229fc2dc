import { assertEquals } from "@std/assert";
import type { ContainerSpec } from "../../../../agent/model/container.ts";
import { toContainerConfig, toSignal } from "../../../../plugins/cri/translate_container.ts";
import { toSandboxConfig } from "../../../../plugins/cri/translate_sandbox.ts";
import { parseContainerNotes, userNamespaceOf } from "../../../../plugins/cri/labels.ts";
import { MountPropagation, NamespaceMode, Signal } from "../../../../plugins/rpc/gen/cri.ts";
import { createContainerSpec, createSandboxSpec } from "../../../contract/specs.ts";

const SECURITY = { seccompRoot: "/seccomp", seccompDefault: false };

function spec(choices: Parameters<typeof createContainerSpec>[3] = {}): ContainerSpec {
  return createContainerSpec(createSandboxSpec({ uid: "u1" }), "s1", "docker.io/library/a:1", choices);
}

Deno.test("toContainerConfig: identity, image, command, labels and annotations", () => {
  const ports = [{ containerPort: 80 }];
  const preStop = { exec: { command: ["bye"] } };
  const config = toContainerConfig(
    {
      ...spec({
        attempt: 3,
        hash: "abc",
        backOff: 10_000,
        container: {
          ports,
          lifecycle: { preStop, stopSignal: "SIGUSR1" },
          workingDir: "/w",
          stdin: true,
          tty: true,
        },
      }),
      args: ["-x"],
      resources: { requests: { cpu: "1" } },
      linux: { cpuShares: 1024, oomScoreAdj: 1000 },
    },
    "one",
    SECURITY,
  );
  assertEquals(config.metadata, { name: "main", attempt: 3 });
  assertEquals(
    [config.image?.image, config.image?.userSpecifiedImage],
    Array(2).fill("docker.io/library/a:1"),
  );
  assertEquals([config.command[0], config.args, config.workingDir], ["/bin/sh", ["-x"], "/w"]);
  assertEquals(config.labels, {
    "io.kubernetes.pod.name": "web",
    "io.kubernetes.pod.namespace": "default",
    "io.kubernetes.pod.uid": "u1",
    "io.kubernetes.container.name": "main",
    "agent/instance": "one",
  });
  assertEquals(config.annotations, {
    "io.kubernetes.container.hash": "abc",
    "io.kubernetes.container.restartCount": "3",
    "io.kubernetes.container.terminationMessagePath": "/dev/termination-log",
    "io.kubernetes.container.terminationMessagePolicy": "File",
    "io.kubernetes.pod.terminationGracePeriod": "30",
    "io.kubernetes.container.preStopHandler": JSON.stringify(preStop),
    "io.kubernetes.container.ports": JSON.stringify(ports),
    "agent/back-off": "10000",
    "agent/resources": '{"requests":{"cpu":"1"}}',
    "agent/image": "docker.io/library/a:1",
  });
  assertEquals([config.stdin, config.stdinOnce, config.tty], [true, false, true]);
  assertEquals([config.stopSignal, config.logPath], [Signal.SIGNAL_SIGUSR1, "main/3.log"]);
  assertEquals([config.linux?.resources?.cpuShares, config.linux?.resources?.oomScoreAdj], [1024n, 1000n]);
});

Deno.test("toContainerConfig: edits become mounts, devices, annotations, CDI names; the container's own variables win", () => {
  const base = spec();
  const config = toContainerConfig(
    {
      ...base,
      env: [{ name: "A", value: "own" }],
      edits: {
        owner: "test",
        env: { A: "theirs", B: "b" },
        mounts: [
          {
            hostPath: "/h",
            containerPath: "/c",
            readonly: true,
            propagation: "HostToContainer",
            recursiveReadOnly: true,
          },
          {
            hostPath: "/h2",
            containerPath: "/c2",
            readonly: false,
            propagation: "Bidirectional",
            selinuxRelabel: true,
          },
          { hostPath: "/h3", containerPath: "/c3", readonly: false },
        ],
        devices: [{ hostPath: "/dev/x", containerPath: "/dev/y", permissions: "rw" }],
        annotations: { note: "1", "agent/devices": "forged", "io.kubernetes.container.hash": "forged" },
        cdiDevices: ["vendor.com/gpu=0"],
        groups: [44],
        granted: { "a.com/x": ["d0"] },
      },
    },
    "one",
    SECURITY,
  );
  assertEquals(config.envs, [{ key: "B", value: "b" }, { key: "A", value: "own" }]);
  assertEquals(
    config.mounts.map((
      m,
    ) => [m.hostPath, m.containerPath, m.readonly, m.propagation, m.recursiveReadOnly, m.selinuxRelabel]),
    [
      ["/h", "/c", true, MountPropagation.PROPAGATION_HOST_TO_CONTAINER, true, false],
      ["/h2", "/c2", false, MountPropagation.PROPAGATION_BIDIRECTIONAL, false, true],
      ["/h3", "/c3", false, MountPropagation.PROPAGATION_PRIVATE, false, false],
    ],
  );
  assertEquals(config.devices, [{ hostPath: "/dev/x", containerPath: "/dev/y", permissions: "rw" }]);
  assertEquals(config.CDIDevices, [{ name: "vendor.com/gpu=0" }]);
  assertEquals(config.linux?.securityContext?.supplementalGroups, [44n]);
  assertEquals(parseContainerNotes(config.annotations).devices, { "a.com/x": ["d0"] });
  assertEquals([config.annotations["note"], config.annotations["io.kubernetes.container.hash"]], ["1", "c1"]);
});

for (const text of ["", "{", "[]", '{"a.com/x":"d0"}', '{"a.com/x":[0]}']) {
  Deno.test(`a container whose devices are noted as ${JSON.stringify(text)} tells of none`, () => {
    assertEquals(parseContainerNotes({ "agent/devices": text }).devices, undefined);
  });
}

Deno.test("toSignal: names of lifecycle.stopSignal; anything else is the image's own", () => {
  assertEquals(toSignal("SIGTERM"), Signal.SIGNAL_SIGTERM);
  assertEquals(toSignal("SIGRTMIN+3"), Signal.SIGNAL_SIGRTMINPLUS3);
  assertEquals(toSignal("SIGRTMAX-14"), Signal.SIGNAL_SIGRTMAXMINUS14);
  for (const other of [undefined, "", "TERM", "toString"]) {
    assertEquals(toSignal(other), Signal.SIGNAL_RUNTIME_DEFAULT);
  }
});

Deno.test("hostUsers: the pod's ids are told for the sandbox, its containers and every mount, and noted on the sandbox", () => {
  const sandbox = createSandboxSpec({ userNamespace: { first: 131072, length: 65536 } });
  const spec = createContainerSpec(sandbox, "s1", "a");
  const mounts = [{ hostPath: "/a", containerPath: "/b", readonly: false }];
  const config = toContainerConfig({ ...spec, edits: { owner: "test", mounts } }, "one", SECURITY);
  const mapping = [{ hostId: 131072, containerId: 0, length: 65536 }];
  const expected = { mode: NamespaceMode.POD, uids: mapping, gids: mapping };
  assertEquals(config.linux?.securityContext?.namespaceOptions?.usernsOptions, expected);
  assertEquals([config.mounts[0]?.uidMappings, config.mounts[0]?.gidMappings], [mapping, mapping]);
  const ofSandbox = toSandboxConfig(sandbox, "one");
  assertEquals(ofSandbox.linux?.securityContext?.namespaceOptions?.usernsOptions, expected);
  assertEquals(ofSandbox.annotations["agent/user-namespace"], "131072:65536");
  assertEquals(userNamespaceOf(ofSandbox.annotations), sandbox.userNamespace);
  const annotations = { "agent/user-namespace": "0:65536" };
  const shared = toSandboxConfig(createSandboxSpec({ annotations }), "one");
  assertEquals(userNamespaceOf(shared.annotations), undefined, "no manifest can forge it");
  assertEquals(shared.linux?.securityContext?.namespaceOptions?.usernsOptions, undefined);
});
