import { assert, assertEquals } from "@std/assert";
import { importedNames, isAway } from "../../../../plugins/cri/archives.ts";
import { cgroupDriverIn, takesCdiNamesIn } from "../../../../plugins/cri/runtime.ts";

Deno.test("importedNames: the words of ctr before and since 2.0", () => {
  assertEquals(
    importedNames(
      "unpacking docker.io/library/a:1 (sha256:00ff)...done\nunpacking docker.io/library/a:2 (sha256:00ff)...done\n",
    ),
    ["docker.io/library/a:1", "docker.io/library/a:2"],
  );
  assertEquals(
    importedNames(
      "docker.io/library/a:1                           saved\t\r\napplication/vnd.oci.image.manifest.v1+json sha256:00ff\r\nImporting\telapsed: 0.1 s\ttotal: 0.0 B\n",
    ),
    ["docker.io/library/a:1"],
  );
});

Deno.test("isAway: a containerd that dies during an import is told from a damaged archive", () => {
  for (
    const said of [
      'failed to ingest "config.json": failed to copy: failed to send write: EOF: unknown',
      "rpc error: code = Unavailable desc = error reading from server: EOF",
      'failed to dial "/run/c.sock": context deadline exceeded: connection error: desc = "transport: error"',
    ]
  ) assert(isAway(said), said);
  for (const said of ["unexpected EOF", "unrecognized image format", "no space left on device"]) {
    assert(!isAway(said), said);
  }
});

Deno.test("cgroupDriverIn: the default runtime's SystemdCgroup in containerd's configuration", () => {
  const config = (options: unknown) =>
    JSON.stringify({
      containerd: { defaultRuntimeName: "crun", runtimes: { crun: { options }, runc: { options: {} } } },
    });
  assertEquals(cgroupDriverIn(config({ SystemdCgroup: true })), "systemd");
  assertEquals(cgroupDriverIn(config({ SystemdCgroup: false })), "cgroupfs");
  assertEquals(cgroupDriverIn(config(null)), "cgroupfs");
  for (const unknown of [undefined, "", "{", "{}", "[]"]) assertEquals(cgroupDriverIn(unknown), undefined);
});

Deno.test("takesCdiNamesIn: what containerd tells of enable_cdi", () => {
  assertEquals(takesCdiNamesIn('{"enableCDI":true}'), true);
  assertEquals(takesCdiNamesIn('{"enableCDI":false}'), false);
  for (const unknown of [undefined, "", "{", "{}", "[]", "null", '{"enableCDI":"yes"}']) {
    assertEquals(takesCdiNamesIn(unknown), undefined);
  }
});
