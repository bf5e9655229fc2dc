import { assertEquals } from "@std/assert";
import {
  authsFor,
  imageRepository,
  parseDockerConfig,
  secretKeyring,
} from "../../../../agent/model/pull_secrets.ts";
import type { Pod, Secret } from "../../../../agent/model/gen/v1.ts";

const config = (entries: Record<string, string>) =>
  JSON.stringify({
    auths: Object.fromEntries(Object.entries(entries).map(([k, u]) => [k, { auth: btoa(`${u}:p:w`) }])),
  });
const names = (image: string, ...configs: string[]) =>
  authsFor(image, configs.map((c) => parseDockerConfig(c) ?? [])).map(({ username }) => username);

Deno.test("passwords in the order in which they are tried: keyring by keyring, the most particular first", () => {
  const pod = config({ "registry.io": "host", "https://registry.io/v2/team/": "team", "other.io": "other" });
  const node = config({ "registry.io/team": "node", "*.io": "glob", "registry.io": "host" });
  assertEquals(names("registry.io/team/web:1", pod, node), ["team", "host", "node", "glob"]);
  assertEquals(names("registry.io/x@sha256:" + "a".repeat(64), pod, node), ["host", "glob"]);
  assertEquals(names("unknown.test/x", pod, node), []);
  assertEquals(parseDockerConfig(pod)?.[0]?.auth, { username: "host", password: "p:w" });
});

Deno.test("Docker Hub's password counts for its images where no other fits", () => {
  const hub = config({ "https://index.docker.io/v1/": "hub" });
  assertEquals(names("busybox", hub), ["hub"]);
  assertEquals(names("docker.io/team/web:1", config({ "docker.io": "short" })), ["short"]);
  assertEquals(names("busybox", config({ "index.docker.io/v1/": "hub", "*.io": "glob" })), ["glob"]);
  assertEquals(names("registry.io/busybox", hub), []);
  assertEquals(imageRepository("busybox:1"), "docker.io/library/busybox");
});

Deno.test("what is no docker configuration is told from one without entries", () => {
  assertEquals(parseDockerConfig("{"), undefined);
  assertEquals(parseDockerConfig("[]"), undefined);
  assertEquals(parseDockerConfig('{"auths":{}}'), []);
  assertEquals(
    parseDockerConfig('{"a.io":{"username":"u","password":"p"},"b.io":{"auth":"?"},"c.io":1}')?.length,
    1,
  );
});

Deno.test("secrets of the pod's namespace, those that are there", () => {
  const secret: Secret = { data: { ".dockerconfigjson": btoa(config({ "a.io": "me" })) } };
  const pod: Pod = {
    metadata: { namespace: "ns" },
    spec: { containers: [], imagePullSecrets: [{ name: "there" }, { name: "missing" }] },
  };
  const keyring = secretKeyring(pod, new Map([["ns/there", secret], ["default/missing", secret]]));
  assertEquals(keyring.map(({ pattern, auth }) => [pattern, auth.username]), [["a.io", "me"]]);
});
