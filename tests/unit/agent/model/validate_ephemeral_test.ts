import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { parseEphemeral } from "../../../../agent/model/validate_ephemeral.ts";

const pod: Pod = {
  metadata: { name: "web", namespace: "default" },
  spec: {
    initContainers: [{ name: "init", image: "i" }],
    containers: [{ name: "app", image: "a" }],
    ephemeralContainers: [{ name: "old", image: "o" }],
    volumes: [{ name: "page", emptyDir: {} }],
  },
};

const problemsOf = (more: object): string => {
  const parsed = parseEphemeral({ name: "look", image: "busybox", ...more }, pod);
  return "problems" in parsed ? parsed.problems.join("\n") : "none";
};

Deno.test("an ephemeral container may have all but what only a pod's own containers have", () => {
  const whole = {
    command: ["sh"],
    env: [{ name: "A", value: "b" }],
    stdin: true,
    tty: true,
    targetContainerName: "app",
    securityContext: { privileged: true },
    volumeMounts: [{ name: "page", mountPath: "/page" }],
    workingDir: "/",
  };
  assertEquals(problemsOf(whole), "none");
  const refused = {
    ports: [{ containerPort: 80 }],
    livenessProbe: { exec: { command: ["true"] } },
    readinessProbe: { exec: { command: ["true"] } },
    startupProbe: { exec: { command: ["true"] } },
    lifecycle: { preStop: { sleep: { seconds: 1 } } },
    resources: { limits: { cpu: "1" } },
    resizePolicy: [{ resourceName: "cpu", restartPolicy: "NotRequired" }],
    restartPolicy: "Always",
    restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "In", values: [1] } }],
  };
  for (const [field, value] of Object.entries(refused)) {
    assertStringIncludes(problemsOf({ [field]: value }), `${field}: may not stand in an ephemeral container`);
  }
  const mount = { name: "page", mountPath: "/page" };
  for (const field of ["subPath", "subPathExpr"]) {
    assertStringIncludes(
      problemsOf({ volumeMounts: [{ ...mount, [field]: "x" }] }),
      `volumeMounts[0].${field}: may not`,
    );
  }
});

Deno.test("names, targets, volumes and types of ephemeral containers are checked", () => {
  for (const name of ["app", "init", "old"]) {
    assertStringIncludes(problemsOf({ name }), `name: the pod has a container ${name}`);
  }
  assertStringIncludes(problemsOf({ name: "Not_a_label" }), "name: ");
  assertStringIncludes(problemsOf({ image: "" }), "image: ");
  assertStringIncludes(
    problemsOf({ targetContainerName: "apq" }),
    'targetContainerName: expected one of init, app, got "apq"',
  );
  assertStringIncludes(
    problemsOf({ volumeMounts: [{ name: "none", mountPath: "/x" }] }),
    "volumeMounts[0].name: ",
  );
  assertStringIncludes(problemsOf({ comand: ["sh"] }), 'did you mean "command"');
  assertStringIncludes(problemsOf({ tty: "maybe" }), "tty: ");
  for (const value of [undefined, null, 1, "x", []]) {
    assertEquals("problems" in parseEphemeral(value, pod), true, `${value}`);
  }
});
