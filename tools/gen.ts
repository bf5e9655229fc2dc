// `deno task gen`: runs every generator of checked-in code; with `--check` each only says whether its output is stale.
// Not a generator itself.

import { fromFileUrl } from "@std/path";

const GENERATORS = ["schema.ts", "proto.ts", "pause.ts", "pod_fields.ts"];

let failed = 0;
for (const name of GENERATORS) {
  const path = fromFileUrl(new URL(name, import.meta.url));
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", path, ...Deno.args],
    stdin: "null",
  });
  if (!(await command.spawn().status).success) failed++;
}
Deno.exit(failed === 0 ? 0 : 1);
