import { assertEquals } from "@std/assert";
import { hugePageSize, isHugePageMedium, volumePageSize } from "../../../../agent/model/huge_pages.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";

const podWith = (...requests: Record<string, string>[]): Pod => ({
  spec: { containers: requests.map((r, i) => ({ name: `c${i}`, resources: { requests: r } })) },
});
const mebibyte = 2 ** 20;

Deno.test("emptyDir.medium HugePages takes the one page size that containers request", () => {
  const small = podWith({ cpu: "1" }, { "hugepages-2Mi": "4Mi" });
  assertEquals(volumePageSize("HugePages", small), { bytes: 2 * mebibyte });
  const limits: Pod = {
    spec: { containers: [{ name: "c", resources: { limits: { "hugepages-2Mi": "4Mi" } } }] },
  };
  assertEquals(volumePageSize("HugePages", limits), { bytes: 2 * mebibyte });
  const init: Pod = {
    spec: {
      containers: [],
      initContainers: [{ name: "i", resources: { requests: { "hugepages-1Gi": "1Gi" } } }],
    },
  };
  assertEquals(volumePageSize("HugePages", init), { bytes: 1024 * mebibyte });
  const both = podWith({ "hugepages-2Mi": "4Mi" }, { "hugepages-1Gi": "1Gi" });
  assertEquals(volumePageSize("HugePages", both), {
    error: "medium: HugePages can't be used if container requests multiple huge page sizes",
  });
  assertEquals(volumePageSize("HugePages-1Gi", both), { bytes: 1024 * mebibyte });
});

Deno.test("emptyDir.medium HugePages without a request for such pages is refused", () => {
  for (const medium of ["HugePages", "HugePages-2Mi"]) {
    assertEquals(
      volumePageSize(medium, podWith({ "hugepages-1Mi": "1Mi" }, {})),
      medium === "HugePages" ? { bytes: mebibyte } : {
        error:
          `medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`,
      },
    );
    assertEquals(volumePageSize(medium, podWith({})), {
      error: `medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`,
    });
  }
  assertEquals(volumePageSize("HugePages-x", podWith({})), {
    error: "medium HugePages-x: expected HugePages or HugePages-SIZE, such as HugePages-2Mi",
  });
});

Deno.test("names of huge pages", () => {
  assertEquals(["HugePages", "HugePages-2Mi", "Memory", "HugePagesX"].map(isHugePageMedium), [
    true,
    true,
    false,
    false,
  ]);
  assertEquals(
    ["HugePages-2Mi", "hugepages-1Gi", "HugePages", "HugePages-0", "HugePages-1m", "HugePages-"].map(
      hugePageSize,
    ),
    [
      2 * mebibyte,
      1024 * mebibyte,
      undefined,
      undefined,
      undefined,
      undefined,
    ],
  );
});
