import { assertEquals, assertThrows } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { PodSecurityContext, PodSpec, SecurityContext } from "../../../../agent/model/gen/v1.ts";
import { toContainerSecurity } from "../../../../plugins/cri/security.ts";
import {
  NamespaceMode,
  SecurityProfile_ProfileType as ProfileType,
} from "../../../../plugins/rpc/gen/cri.ts";
import { createContainerSpec, createSandboxSpec } from "../../../contract/specs.ts";

function security(
  pod: PodSecurityContext,
  container: SecurityContext,
  choices: { imageUser?: string; seccompDefault?: boolean; annotations?: Record<string, string> } = {},
) {
  const { imageUser = "", seccompDefault = false, annotations = {} } = choices;
  const sandbox = createSandboxSpec({ name: "web", uid: "u1", spec: { securityContext: pod }, annotations });
  const spec = createContainerSpec(sandbox, "s1", "a", {
    container: { securityContext: container },
    imageUser,
  });
  return toContainerSecurity(spec, { seccompRoot: "/seccomp", seccompDefault });
}

Deno.test("the container's security context wins over the pod's; what it leaves out is the pod's", () => {
  const pod = { runAsUser: 1, runAsGroup: 2, fsGroup: 3, supplementalGroups: [4] };
  const joined = security(pod, { runAsUser: 10 });
  assertEquals([joined.runAsUser, joined.runAsGroup], [{ value: 10n }, { value: 2n }]);
  assertEquals(joined.supplementalGroups, [3n, 4n]);
});

Deno.test("without runAsUser the image's user runs: a number, a name, or root", () => {
  const user = (imageUser: string) => {
    const { runAsUser, runAsUsername } = security({}, {}, { imageUser });
    return [runAsUser?.value, runAsUsername];
  };
  assertEquals(user(""), [0n, ""]);
  assertEquals(user("1000:1000"), [1000n, ""]);
  assertEquals(user("nginx"), [undefined, "nginx"]);
  assertEquals(security({}, { runAsUser: 5 }, { imageUser: "nginx" }).runAsUsername, "");
});

Deno.test("runAsNonRoot is checked before anything is created, in the kubelet's words", () => {
  const refuse = (container: SecurityContext, imageUser: string, words: string) => {
    const error = assertThrows(
      () => security({ runAsNonRoot: true }, container, { imageUser }),
      AgentError,
      words,
    );
    assertEquals(error.reason, "CreateContainerConfigError");
  };
  const where = '(pod: "web_default(u1)", container: main)';
  refuse({}, "", `container has runAsNonRoot and image will run as root ${where}`);
  refuse({}, "0", `container has runAsNonRoot and image will run as root ${where}`);
  refuse({ runAsUser: 0 }, "1000", `container's runAsUser breaks non-root policy ${where}`);
  refuse({}, "nginx", `image has non-numeric user (nginx), cannot verify user is non-root ${where}`);
  assertEquals(security({ runAsNonRoot: true }, {}, { imageUser: "1000" }).runAsUser, { value: 1000n });
  assertEquals(security({ runAsNonRoot: true }, { runAsUser: 7 }).runAsUser, { value: 7n });
  assertEquals(security({ runAsNonRoot: true }, { runAsNonRoot: false }).runAsUser, { value: 0n });
});

Deno.test("seccomp: container over pod over default; Localhost below the root", () => {
  const type = (pod: PodSecurityContext, container: SecurityContext, seccompDefault = false) =>
    security(pod, container, { seccompDefault }).seccomp?.profileType;
  const runtimeDefault = { seccompProfile: { type: "RuntimeDefault" } };
  const unconfined = { seccompProfile: { type: "Unconfined" } };
  assertEquals(type({}, {}), ProfileType.Unconfined);
  assertEquals(type({}, {}, true), ProfileType.RuntimeDefault);
  assertEquals(type(runtimeDefault, {}), ProfileType.RuntimeDefault);
  assertEquals(type(runtimeDefault, unconfined, true), ProfileType.Unconfined);
  const local = security({}, { seccompProfile: { type: "Localhost", localhostProfile: "a/b.json" } });
  assertEquals(local.seccomp, { profileType: ProfileType.Localhost, localhostRef: "/seccomp/a/b.json" });
  assertThrows(() => security({}, { seccompProfile: { type: "Localhost" } }), AgentError, "localhostProfile");
});

Deno.test("AppArmor: the field, else the beta annotation, else the runtime's choice", () => {
  const annotations = { "container.apparmor.security.beta.kubernetes.io/main": "localhost/mine" };
  assertEquals(security({}, {}).apparmor, undefined);
  assertEquals(security({}, {}, { annotations }).apparmor, {
    profileType: ProfileType.Localhost,
    localhostRef: "mine",
  });
  const field = security({}, { appArmorProfile: { type: "Unconfined" } }, { annotations });
  assertEquals(field.apparmor?.profileType, ProfileType.Unconfined);
});

Deno.test("privileges: no_new_privs only when escalation is refused, masks unless procMount is Unmasked", () => {
  assertEquals(security({}, {}).noNewPrivs, false);
  assertEquals(security({}, { allowPrivilegeEscalation: true }).noNewPrivs, false);
  assertEquals(security({}, { allowPrivilegeEscalation: false }).noNewPrivs, true);
  const masked = security({}, {});
  assertEquals([masked.maskedPaths.includes("/proc/kcore"), masked.readonlyPaths.includes("/proc/sys")], [
    true,
    true,
  ]);
  const unmasked = security({}, { procMount: "Unmasked" });
  assertEquals([unmasked.maskedPaths, unmasked.readonlyPaths], [[], []]);
  const strong = security({}, {
    privileged: true,
    readOnlyRootFilesystem: true,
    capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
  });
  assertEquals([strong.privileged, strong.readonlyRootfs], [true, true]);
  assertEquals([strong.capabilities?.addCapabilities, strong.capabilities?.dropCapabilities], [
    ["NET_ADMIN"],
    ["ALL"],
  ]);
});

Deno.test("a target's processes are shared, unless the pod or the node shares them all", () => {
  const namespaces = (spec: PodSpec | Record<string, unknown>, targetId?: string) => {
    const sandbox = createSandboxSpec({ name: "web", uid: "u1", spec });
    const made = createContainerSpec(sandbox, "s1", "a", {});
    const { namespaceOptions } = toContainerSecurity(
      { ...made, ...targetId === undefined ? {} : { targetId } },
      { seccompRoot: "", seccompDefault: false },
    );
    return [namespaceOptions?.pid, namespaceOptions?.targetId];
  };
  assertEquals(namespaces({}), [NamespaceMode.CONTAINER, ""]);
  assertEquals(namespaces({}, "c1"), [NamespaceMode.TARGET, "c1"]);
  assertEquals(namespaces({ shareProcessNamespace: true }, "c1"), [NamespaceMode.POD, ""]);
  assertEquals(namespaces({ hostPID: true }, "c1"), [NamespaceMode.NODE, ""]);
});

Deno.test("seLinuxOptions are passed on: user, role, type, level", () => {
  const level = { level: "s0:c1,c2" };
  const all = { user: "u", role: "r", type: "t", ...level };
  assertEquals(security({ seLinuxOptions: all }, {}).selinuxOptions, all);
  const none = { user: "", role: "", type: "" };
  assertEquals(security({ seLinuxOptions: all }, { seLinuxOptions: level }).selinuxOptions, {
    ...none,
    ...level,
  });
  assertEquals(security({}, {}).selinuxOptions, undefined);
});

Deno.test("capabilities bear no prefix, which containerd would take for part of the name", () => {
  const { capabilities } = security({}, {
    capabilities: { add: ["CAP_SYS_TIME", "net_admin"], drop: ["ALL"] },
  });
  assertEquals([capabilities?.addCapabilities, capabilities?.dropCapabilities], [["SYS_TIME", "NET_ADMIN"], [
    "ALL",
  ]]);
});
