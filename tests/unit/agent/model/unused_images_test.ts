/** Which images of a node nobody needs. */
import { assertEquals } from "@std/assert";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { type NodeImage, unusedImages } from "../../../../agent/model/unused_images.ts";

const digest = (name: string) => `${name}@sha256:${"a".repeat(64)}`;
const pulled = (id: string, name: string, more: Partial<NodeImage> = {}): NodeImage => ({
  id,
  repoTags: [`${name}:1`],
  repoDigests: [digest(name)],
  pinned: false,
  ...more,
});

Deno.test("images of containers and of wanted pods, by any of their names, are kept", () => {
  const images = [
    pulled("unused", "registry.example/a"),
    pulled("by id", "registry.example/b"),
    pulled("by digest", "registry.example/c"),
    pulled("by tag", "docker.io/library/d"),
    pulled("by volume", "registry.example/e"),
  ];
  const pod: Pod = {
    spec: {
      containers: [{ name: "main", image: "d:1" }],
      volumes: [{ name: "v", image: { reference: "registry.example/e:1" } }],
    },
  };
  assertEquals(unusedImages(images, ["by id", digest("registry.example/c")], [pod]), ["unused"]);
});

Deno.test("what is pinned, what no registry brought, and the image of sandboxes stay", () => {
  const images = [
    pulled("pinned", "registry.example/a", { pinned: true }),
    pulled("imported", "registry.example/b", { repoDigests: [] }),
    pulled("pause", "registry.k8s.io/pause"),
    pulled("dangling", "registry.example/c", { repoTags: [] }),
  ];
  assertEquals(unusedImages(images, [], []), ["dangling"]);
});
