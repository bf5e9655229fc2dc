import { assertEquals } from "@std/assert";
import { normalizeImageName } from "../../../../agent/model/image_name.ts";

const SHA = "sha256:" + "a".repeat(64);

const valid: [string, string][] = [
  ["busybox", "docker.io/library/busybox:latest"],
  ["busybox:1.36", "docker.io/library/busybox:1.36"],
  ["user/app", "docker.io/user/app:latest"],
  ["index.docker.io/library/busybox", "docker.io/library/busybox:latest"],
  ["docker.io/busybox", "docker.io/library/busybox:latest"],
  ["localhost/app:1", "localhost/app:1"],
  ["localhost:5000/app", "localhost:5000/app:latest"],
  ["127.0.0.1:5000/a/b/c:v1", "127.0.0.1:5000/a/b/c:v1"],
  ["[::1]:5000/app:1", "[::1]:5000/app:1"],
  ["Registry/app", "Registry/app:latest"],
  ["quay.example.org/a__b/c-d.e", "quay.example.org/a__b/c-d.e:latest"],
  [`busybox@${SHA}`, `docker.io/library/busybox@${SHA}`],
  [`host:80/app:tag@${SHA}`, `host:80/app@${SHA}`],
];

for (const [text, name] of valid) {
  Deno.test(`image name ${text}`, () => assertEquals(normalizeImageName(text)?.name, name));
}

const invalid = [
  "",
  ":",
  "@",
  "/",
  "app:",
  "app@sha256:short",
  `app@sha256:${"A".repeat(64)}`,
  "a b",
  "App",
  "user/App",
  "host:port/app",
  "app:tag:tag",
  "-app",
  "app-",
  "a//b",
  "a/",
  "/a",
  "a...b",
  "app:-tag",
  "app:" + "t".repeat(129),
  "host.example/" + "a".repeat(256),
  "http://host.example/app",
  "a".repeat(64),
  "app\n",
  "[::1/app",
];

for (const text of invalid) {
  Deno.test(`no image name: ${JSON.stringify(text).slice(0, 40)}`, () => {
    assertEquals(normalizeImageName(text), undefined);
  });
}

Deno.test("the parts of an image name", () => {
  assertEquals(normalizeImageName(`host:80/a/b:v1@${SHA}`), {
    name: `host:80/a/b@${SHA}`,
    registry: "host:80",
    repository: "a/b",
    tag: "v1",
    digest: SHA,
  });
  assertEquals(normalizeImageName("b"), {
    name: "docker.io/library/b:latest",
    registry: "docker.io",
    repository: "library/b",
    tag: "latest",
  });
});

Deno.test("normalizing twice changes nothing", () => {
  for (const [, name] of valid) assertEquals(normalizeImageName(name)?.name, name);
});
