import { assertEquals } from "@std/assert";
import { networkNamespaceIn } from "../../../../plugins/cri/runtime.ts";

Deno.test("the network namespace is where the sandbox's OCI configuration says", () => {
  const info = (namespaces: unknown) => JSON.stringify({ pid: 7, runtimeSpec: { linux: { namespaces } } });
  const own = [{ type: "pid" }, { type: "network", path: "/var/run/netns/cni-1" }];
  assertEquals(networkNamespaceIn(info(own)), "/var/run/netns/cni-1");
  assertEquals(networkNamespaceIn(info([{ type: "network" }])), undefined, "the host's");
  for (const text of [undefined, "", "null", "{}", info(undefined)]) {
    assertEquals(networkNamespaceIn(text), undefined);
  }
});
