// Writes the example pods' image, busybox, as an archive: `tools/deno run -A tools/demo_image.ts FILE`. Not for real use.

import { createImageArchive } from "./busybox_image.ts";

await Deno.writeFile(Deno.args[0] ?? "demo.tar", createImageArchive({ tags: ["localhost/agent/demo:1"] }));
