import { assertEquals } from "@std/assert";
import { matchesImage, wrongImagePattern } from "../../../../agent/model/image_match.ts";

Deno.test("patterns of images: hosts part by part, ports, the beginnings of paths", () => {
  // The kubelet's own documentation and tests of URLsMatch decide these.
  const cases: [pattern: string, image: string, fits: boolean][] = [
    ["registry.io", "registry.io/a/b", true],
    ["registry.io", "other.registry.io/a", false],
    ["*.registry.io", "eu.registry.io/a", true],
    ["*.registry.io", "a.eu.registry.io/a", false],
    ["*.*.registry.io", "a.eu.registry.io/a", true],
    ["*.*.registry.io", "eu.registry.io/a", false],
    ["app*.k8s.io", "app1.k8s.io/x", true],
    ["app*.k8s.io", "xapp.k8s.io/x", false],
    ["a?[0-9].io", "ab7.io/x", true],
    ["a[^0-9].io", "a7.io/x", false],
    ["registry.io:8080", "registry.io:8080/a", true],
    ["registry.io:8080", "registry.io/a", false],
    ["registry.io", "registry.io:8080/a", false],
    ["registry.io/team", "registry.io/team/web", true],
    ["registry.io/team", "registry.io/teams/web", true],
    ["registry.io/team/", "registry.io/teams/web", false],
    ["registry.io/*", "registry.io/team", false],
    ["*", "localhost/a", true],
    ["*", "registry.io/a", false],
    ["123456789.dkr.ecr.*.amazonaws.com", "123456789.dkr.ecr.us-east-1.amazonaws.com/x", true],
    ["REGISTRY.io", "registry.io/a", false],
  ];
  for (const [pattern, image, fits] of cases) {
    assertEquals([pattern, image, matchesImage(pattern, image)], [pattern, image, fits]);
  }
});

Deno.test("patterns that fit nothing are told", () => {
  const wrong = ["", "https://registry.io", "a b.io", "registry.io:*", "registry[.io", "x\\.io\\"];
  assertEquals(wrong.filter((pattern) => wrongImagePattern(pattern) === undefined), []);
  const right = ["*", "*.registry.io:5000/team", "localhost:5000", "a[bc].io"];
  assertEquals(right.filter((pattern) => wrongImagePattern(pattern) !== undefined), []);
});
