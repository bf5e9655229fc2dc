/** What is to be done for a node's certificate, from what the files say. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { type IdentityFacts, situationOf } from "../../../../../agent/cluster/identity/situation.ts";

const hour = 3_600_000;
const now = Date.UTC(2026, 5, 1);
const life = (from: number, to: number) => ({ notBefore: now + from * hour, notAfter: now + to * hour });
const fresh = life(-1, 99);
const due = life(-95, 5);
const ended = life(-100, -1);
const own = (of: typeof fresh) => ({ ...of, commonName: "system:node:box" });
const server = "https://192.0.2.1:6443";
const certificate = { file: "/pki/kubelet-client-current.pem" };

const base: IdentityFacts = {
  nodeName: "box",
  paths: { kubeconfig: "/k", bootstrap: "/b" },
  kubeconfig: { kubeconfig: { server, certificate, key: certificate } },
  bootstrap: {},
  rotates: true,
};
const withBootstrap = { bootstrap: { kubeconfig: { server, token: "t" } } };
const at = (facts: Partial<IdentityFacts>) => situationOf({ ...base, ...facts }, now, 0);
const kind = (facts: Partial<IdentityFacts>) => at(facts).act.kind;
const trouble = (facts: Partial<IdentityFacts>) => {
  const { severity, failure } = at(facts).trouble!;
  return `${severity}: ${failure.message}; ${failure.remedy}`;
};

Deno.test("a certificate that serves is waited with; one that is due is renewed, unless nobody wants that", () => {
  assertEquals(at({ own: own(fresh), named: fresh }), { act: { kind: "wait", ms: 24 * hour }, shows: "own" });
  assertEquals(at({ own: own(due), named: due }), { act: { kind: "renew", ms: 5 * hour }, shows: "own" });
  assertEquals(kind({ own: own(due), named: due, rotates: false }), "wait");
  assertStringIncludes(
    trouble({ own: own(due), named: due, rotates: false }),
    "ends at 2026-06-01T05:00:00.000Z",
  );
});

Deno.test("of two certificates the node shows the one that lives longer, and never another node's", () => {
  assertEquals(at({ own: own(fresh), named: ended }).shows, "own");
  assertEquals(at({ own: own(ended), named: fresh }).shows, "named");
  assertEquals(at({ own: { ...fresh, commonName: "system:node:other" }, named: due }).shows, "named");
});

Deno.test("without a kubeconfig, with a broken one or one that has ended, the bootstrap credentials are the way", () => {
  assertEquals(kind({ kubeconfig: {}, ...withBootstrap }), "enrol");
  assertEquals(kind({ kubeconfig: { wrong: "is empty" }, ...withBootstrap }), "enrol");
  assertEquals(kind({ own: own(ended), named: ended, ...withBootstrap }), "enrol");
  // Killed between the certificate and the kubeconfig.
  assertEquals(kind({ kubeconfig: {}, own: own(fresh), ...withBootstrap }), "write");
});

Deno.test("where there is no way, it is said what to run", () => {
  assertEquals(
    trouble({ kubeconfig: {} }),
    "error: this node has not joined its cluster; /b does not exist either; on a control plane node run " +
      "`kubeadm token create --print-join-command`, then here what it prints, with agent for kubeadm",
  );
  assertStringIncludes(
    trouble({ own: own(ended), named: ended }),
    "ended at 2026-05-31T23:00:00.000Z; on a control",
  );
  assertStringIncludes(
    trouble({ named: ended, bootstrap: { wrong: "no YAML" } }),
    "/b cannot be used: no YAML",
  );
  assertStringIncludes(
    trouble({ kubeconfig: { wrong: "no YAML" } }),
    "the kubeconfig cannot be used: no YAML",
  );
});

Deno.test("a clock before the certificate's beginning is waited for, and told of", () => {
  assertEquals(kind({ own: own(life(1, 9)) }), "wait");
  assertStringIncludes(trouble({ own: own(life(1, 9)) }), "this clock says 2026-06-01T00:00:00.000Z");
});

Deno.test("a token needs nothing", () => {
  assertEquals(at({ kubeconfig: { kubeconfig: { server, token: "t" } } }).trouble, undefined);
});
