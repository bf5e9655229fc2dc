import { assert, assertEquals } from "@std/assert";
import { parseManifest } from "../../../../agent/model/manifest.ts";

/** A pod as JSON, with parts replaced. */
const manifest = (spec: object, metadata: object = {}, container: object = {}) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web", ...metadata },
    spec: { containers: [{ name: "main", image: "demo:1", ...container }], ...spec },
  });

const fields = (text: string, severity: "error" | "warning") =>
  parseManifest("f", text).problems.filter((p) => p.severity === severity).map((p) => p.field ?? "");

const right: [string, object, object?, object?][] = [
  ["plain", {}],
  ["long names", {}, { name: "a".repeat(63) + "." + "b".repeat(63), namespace: "kube-system" }],
  ["labels", {}, {
    labels: { "app.kubernetes.io/name": "web_1", "a": "" },
    annotations: { "Some/Thing": "x" },
  }],
  ["ports", {}, {}, {
    ports: [{ containerPort: 80, hostPort: 80, name: "http" }, { containerPort: 53, protocol: "UDP" }],
  }],
  ["host network", { hostNetwork: true }, {}, {
    ports: [{ containerPort: 80 }, { containerPort: 81, hostPort: 81 }],
  }],
  ["environment", {}, {}, {
    env: [
      { name: "a.b-c", value: "" },
      { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
      { name: "L", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app.kubernetes.io/name']" } } },
      { name: "CPU", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1m" } } },
    ],
    envFrom: [{ prefix: "X_", configMapRef: { name: "c" } }],
  }],
  [
    "volumes",
    {
      volumes: [
        { name: "a" },
        { name: "b", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
        { name: "c", hostPath: { path: "/tmp", type: "Directory" } },
        {
          name: "d",
          configMap: { name: "x", items: [{ key: "k", path: "a/b", mode: 0o600 }], defaultMode: 0o777 },
        },
        { name: "e", secret: { secretName: "x", optional: true } },
        {
          name: "f",
          downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] },
        },
        { name: "g", projected: { sources: [{ configMap: { name: "x" } }, { secret: { name: "y" } }] } },
      ],
    },
    {},
    { volumeMounts: [{ name: "a", mountPath: "/a", subPath: "x/y" }, { name: "a", mountPath: "/b" }] },
  ],
  ["resources", {}, {}, {
    resources: { requests: { cpu: "1", memory: "1Ki" }, limits: { cpu: 1, memory: "1024" } },
  }],
  ["sidecar", {
    initContainers: [{ name: "side", image: "x", restartPolicy: "Always" }, { name: "i", image: "x" }],
  }],
  ["dns", {
    dnsPolicy: "None",
    dnsConfig: { nameservers: ["::1", "10.0.0.1"], options: [{ name: "ndots", value: "2" }] },
  }],
  ["security", { securityContext: { sysctls: [{ name: "net.ipv4.ip_forward", value: "1" }], fsGroup: 0 } }],
];

for (const [name, ...parts] of right) {
  Deno.test(`right: ${name}`, () => assertEquals(fields(manifest(...parts), "error"), []));
}

const c = "spec.containers[0]";
const wrong: [string, [object, object?, object?], string[]][] = [
  ["name", [{}, { name: "Web" }], ["metadata.name"]],
  ["no name", [{}, { name: "" }], ["metadata.name"]],
  ["name too long", [{}, { name: "a".repeat(254) }], ["metadata.name"]],
  ["namespace", [{}, { namespace: "a.b" }], ["metadata.namespace"]],
  ["label", [{}, { labels: { "a b": "x", "ok": "-x" } }], ['metadata.labels["a b"]', "metadata.labels.ok"]],
  ["annotation", [{}, { annotations: { "a/b/c": "x" } }], ['metadata.annotations["a/b/c"]']],
  ["no containers", [{ containers: [] }], ["spec.containers"]],
  ["no image", [{}, {}, { image: "" }], [`${c}.image`]],
  ["container name", [{}, {}, { name: "a_b" }], [`${c}.name`]],
  ["container names", [{ initContainers: [{ name: "main", image: "x" }] }], [`${c}.name`]],
  ["pull policy", [{}, {}, { imagePullPolicy: "always" }], [`${c}.imagePullPolicy`]],
  ["port range", [{}, {}, { ports: [{ containerPort: 0 }, { containerPort: 65536 }] }], [
    `${c}.ports[0].containerPort`,
    `${c}.ports[1].containerPort`,
  ]],
  ["port name", [{}, {}, { ports: [{ containerPort: 1, name: "http--x" }] }], [`${c}.ports[0].name`]],
  ["port names", [{}, {}, { ports: [{ containerPort: 1, name: "a" }, { containerPort: 2, name: "a" }] }], [
    `${c}.ports[1].name`,
  ]],
  ["protocol", [{}, {}, { ports: [{ containerPort: 1, protocol: "tcp" }] }], [`${c}.ports[0].protocol`]],
  [
    "host ports",
    [{}, {}, { ports: [{ containerPort: 1, hostPort: 9 }, { containerPort: 2, hostPort: 9 }] }],
    [
      `${c}.ports[1].hostPort`,
    ],
  ],
  ["host network", [{ hostNetwork: true }, {}, { ports: [{ containerPort: 1, hostPort: 2 }] }], [
    `${c}.ports[0].hostPort`,
  ]],
  ["env name", [{}, {}, { env: [{ name: "A=B" }, { name: "" }] }], [`${c}.env[0].name`, `${c}.env[1].name`]],
  ["env from nothing", [{}, {}, { env: [{ name: "A", valueFrom: {} }] }], [`${c}.env[0].valueFrom`]],
  ["env twice", [{}, {}, {
    env: [{ name: "A", value: "x", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
  }], [`${c}.env[0].valueFrom`]],
  ["field path", [{}, {}, { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "status.phase" } } }] }], [
    `${c}.env[0].valueFrom.fieldRef.fieldPath`,
  ]],
  ["no such volume", [{}, {}, { volumeMounts: [{ name: "v", mountPath: "/a" }] }], [
    `${c}.volumeMounts[0].name`,
  ]],
  ["mounts on one path", [
    { volumes: [{ name: "v" }] },
    {},
    { volumeMounts: [{ name: "v", mountPath: "/a" }, { name: "v", mountPath: "/a/" }] },
  ], [`${c}.volumeMounts[1].mountPath`]],
  ["sub path", [{ volumes: [{ name: "v" }] }, {}, {
    volumeMounts: [{ name: "v", mountPath: "/a", subPath: "../x" }],
  }], [
    `${c}.volumeMounts[0].subPath`,
  ]],
  ["volume names", [{ volumes: [{ name: "v" }, { name: "v" }] }], ["spec.volumes[1].name"]],
  ["two kinds of volume", [{ volumes: [{ name: "v", emptyDir: {}, hostPath: { path: "/" } }] }], [
    "spec.volumes[0]",
  ]],
  ["host path", [{ volumes: [{ name: "v", hostPath: { path: "/a/../b", type: "Dir" } }] }], [
    "spec.volumes[0].hostPath.type",
    "spec.volumes[0].hostPath.path",
  ]],
  ["no config map", [{ volumes: [{ name: "v", configMap: {} }] }], ["spec.volumes[0].configMap.name"]],
  ["item path", [{ volumes: [{ name: "v", configMap: { name: "x", items: [{ key: "k", path: "/a" }] } }] }], [
    "spec.volumes[0].configMap.items[0].path",
  ]],
  ["mode", [{ volumes: [{ name: "v", configMap: { name: "x", defaultMode: 644 } }] }], [
    "spec.volumes[0].configMap.defaultMode",
  ]],
  ["requests above limits", [{}, {}, {
    resources: { requests: { memory: "2Mi" }, limits: { memory: "1Mi" } },
  }], [
    `${c}.resources.requests.memory`,
  ]],
  ["negative", [{}, {}, { resources: { limits: { cpu: "-1" } } }], [`${c}.resources.limits.cpu`]],
  ["resource name", [{}, {}, { resources: { limits: { mem: "1" } } }], [`${c}.resources.limits.mem`]],
  ["grace period", [{ terminationGracePeriodSeconds: -1 }], ["spec.terminationGracePeriodSeconds"]],
  ["dns policy", [{ dnsPolicy: "None" }], ["spec.dnsConfig.nameservers"]],
  ["name server", [{ dnsConfig: { nameservers: ["a"] } }], ["spec.dnsConfig.nameservers[0]"]],
  ["os", [{ os: { name: "plan9" } }], ["spec.os.name"]],
  ["user", [{ securityContext: { runAsUser: -1 } }], ["spec.securityContext.runAsUser"]],
  ["privilege", [{}, {}, { securityContext: { privileged: true, allowPrivilegeEscalation: false } }], [
    `${c}.securityContext.allowPrivilegeEscalation`,
  ]],
  ["seccomp", [{ securityContext: { seccompProfile: { type: "Localhost" } } }], [
    "spec.securityContext.seccompProfile.localhostProfile",
  ]],
  ["init policy", [{ initContainers: [{ name: "i", image: "x", restartPolicy: "never" }] }], [
    "spec.initContainers[0].restartPolicy",
  ]],
  ["hook of an init container", [{
    initContainers: [{ name: "i", image: "x", lifecycle: { preStop: { sleep: { seconds: 1 } } } }],
  }], ["spec.initContainers[0].lifecycle"]],
  ["restartPolicyRules without a restartPolicy", [{}, {}, {
    restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "In", values: [1] } }],
  }], [`${c}.restartPolicy`]],
  ["restartPolicyRules", [{}, {}, {
    restartPolicy: "Never",
    restartPolicyRules: [
      { action: "Stop", exitCodes: { operator: "Between", values: [1] } },
      { action: "Restart" },
      { action: "RestartAllContainers", exitCodes: { operator: "In", values: Array(256).fill(1) } },
    ],
  }], [
    `${c}.restartPolicyRules[0].action`,
    `${c}.restartPolicyRules[0].exitCodes.operator`,
    `${c}.restartPolicyRules[1].exitCodes`,
    `${c}.restartPolicyRules[2].exitCodes.values`,
  ]],
  ["too many restartPolicyRules", [{}, {}, {
    restartPolicy: "Never",
    restartPolicyRules: Array(21).fill({ action: "Restart", exitCodes: { operator: "In", values: [1] } }),
  }], [`${c}.restartPolicyRules`]],
  ["sleep longer than the grace period", [{ terminationGracePeriodSeconds: 5 }, {}, {
    lifecycle: { preStop: { sleep: { seconds: 6 } }, postStart: { sleep: { seconds: -1 } } },
  }], [`${c}.lifecycle.postStart.sleep.seconds`, `${c}.lifecycle.preStop.sleep.seconds`]],
  ["probe", [{}, {}, { livenessProbe: { successThreshold: 2, exec: { command: [] } } }], [
    `${c}.livenessProbe.exec.command`,
    `${c}.livenessProbe.successThreshold`,
  ]],
  ["readiness probe", [{}, {}, {
    readinessProbe: {
      httpGet: { port: 80, httpHeaders: [{ name: "X Y", value: "" }] },
      terminationGracePeriodSeconds: 1,
    },
  }], [
    `${c}.readinessProbe.httpGet.httpHeaders[0].name`,
    `${c}.readinessProbe.terminationGracePeriodSeconds`,
  ]],
  ["not supported: volume", [{ volumes: [{ name: "v", cephfs: { monitors: ["a"] } }] }], [
    "spec.volumes[0].cephfs",
  ]],
  ["projected: two kinds in one source", [{
    volumes: [{ name: "v", projected: { sources: [{ configMap: { name: "x" }, secret: { name: "y" } }] } }],
  }], ["spec.volumes[0].projected.sources[0]"]],
  ["not supported: token", [{
    volumes: [{ name: "v", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }],
  }], ["spec.volumes[0].projected.sources[0].serviceAccountToken"]],
];

for (const [name, parts, expected] of wrong) {
  Deno.test(`wrong: ${name}`, () => {
    assertEquals(fields(manifest(...parts), "error"), expected);
    assertEquals(parseManifest("f", manifest(...parts)).pods, []);
  });
}

Deno.test("what has no effect yet is a warning, and the pod runs", () => {
  const text = manifest(
    {
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "a", whenUnsatisfiable: "ScheduleAnyway" }],
      automountServiceAccountToken: false,
      schedulerName: "default-scheduler",
      hostUsers: true,
    },
  );
  assertEquals(fields(text, "warning"), ["spec.topologySpreadConstraints"]);
  assertEquals(fields(text, "error"), []);
  assertEquals(parseManifest("f", text).pods.length, 1);
});

Deno.test("ConfigMaps and Secrets", () => {
  const object = (kind: string, rest: object) =>
    JSON.stringify({ apiVersion: "v1", kind, metadata: { name: "x" }, ...rest });
  const cases: [string, string[]][] = [
    [object("ConfigMap", { data: { "a.b_c-1": "x", ".hidden": "" }, binaryData: { b: "aGk=" } }), []],
    [object("ConfigMap", { data: { "a/b": "x", "..x": "y" } }), ['data["a/b"]', 'data["..x"]']],
    [object("ConfigMap", { data: { a: "x" }, binaryData: { a: "aGk=" } }), ["binaryData.a"]],
    [object("ConfigMap", { data: { a: "x".repeat(1024 * 1024) } }), []],
    [object("ConfigMap", { data: { a: "x".repeat(1024 * 1024 + 1) } }), [""]],
    [object("Secret", { data: { a: "a" } }), ["data.a"]],
    [
      object("Secret", { type: "kubernetes.io/dockerconfigjson", stringData: { ".dockerconfigjson": "{}" } }),
      [],
    ],
    [object("Secret", { type: "kubernetes.io/dockerconfigjson", data: { ".dockerconfigjson": "aGk=" } }), [
      'data[".dockerconfigjson"]',
    ]],
    [object("Secret", { type: "kubernetes.io/tls", data: { "tls.crt": "" } }), ['data["tls.key"]']],
  ];
  for (const [text, expected] of cases) assertEquals(fields(text, "error"), expected, text.slice(0, 100));
});

Deno.test("defaults are the API server's", () => {
  const [pod] = parseManifest(
    "f",
    manifest(
      {
        volumes: [{ name: "c", configMap: { name: "x" } }, { name: "h", hostPath: { path: "/" } }, {
          name: "e",
        }],
        hostNetwork: true,
      },
      {},
      {
        ports: [{ containerPort: 80 }],
        resources: { limits: { cpu: "1", memory: "1Mi" }, requests: { cpu: "500m" } },
        livenessProbe: { httpGet: { port: 80 }, periodSeconds: 0 },
        volumeMounts: [{ name: "e", mountPath: "relative" }],
      },
    ),
  ).pods;
  const spec = pod?.spec;
  const main = spec?.containers[0];
  assertEquals(
    [spec?.restartPolicy, spec?.dnsPolicy, spec?.terminationGracePeriodSeconds, spec?.enableServiceLinks],
    ["Always", "ClusterFirst", 30, true],
  );
  assertEquals([main?.terminationMessagePath, main?.terminationMessagePolicy, main?.imagePullPolicy], [
    "/dev/termination-log",
    "File",
    "IfNotPresent",
  ]);
  assertEquals(main?.ports, [{ containerPort: 80, hostPort: 80, protocol: "TCP" }]);
  assertEquals(main?.resources?.requests, { cpu: "500m", memory: "1Mi" });
  assertEquals(main?.livenessProbe, {
    httpGet: { port: 80, path: "/", scheme: "HTTP" },
    ...{ timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 },
  });
  assertEquals(main?.volumeMounts?.[0]?.mountPath, "/relative");
  assertEquals(spec?.volumes, [
    { name: "c", configMap: { name: "x", defaultMode: 0o644 } },
    { name: "h", hostPath: { path: "/", type: "" } },
    { name: "e", emptyDir: {} },
  ]);
});

Deno.test("the pull policy follows the tag", () => {
  const cases: [string, string][] = [
    ["a", "Always"],
    ["a:latest", "Always"],
    ["registry:5000/a", "Always"],
    ["registry:5000/a:1", "IfNotPresent"],
    [`a@sha256:${"0".repeat(64)}`, "IfNotPresent"],
    [`a:latest@sha256:${"0".repeat(64)}`, "Always"],
  ];
  for (const [image, policy] of cases) {
    const { pods } = parseManifest("f", manifest({}, {}, { image }));
    assertEquals(pods[0]?.spec?.containers[0]?.imagePullPolicy, policy, image);
  }
  assert(cases.length > 0);
});
