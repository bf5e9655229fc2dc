/**
 * A small CSI driver that is real: a process of its own, with volumes on loop devices, directories and tmpfs, and knobs
 * to make it misbehave. `deno run -A tests/drivers/csi/main.ts SOCKET OPTIONS`, options as JSON (services.ts). Not for:
 * anybody's volumes.
 */
import { join } from "@std/path";
import { serve } from "../../../plugins/rpc/mod.ts";
import { startRegisteringPlugin } from "../../fakes/registration.ts";
import { createKnobs } from "./knobs.ts";
import { createServices, type DriverOptions } from "./services.ts";

const [socket = "", text = "{}"] = Deno.args;
const options = JSON.parse(text) as DriverOptions;
await Deno.mkdir(join(options.state, "volumes"), { recursive: true });
const leave = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => leave.abort());
const server = await serve(socket, createServices(options, createKnobs(options.state)), {
  signal: leave.signal,
});
const registered = options.registration === undefined
  ? undefined
  : await startRegisteringPlugin(options.registration, {
    type: "CSIPlugin",
    name: options.name,
    endpoint: socket,
  });
await Deno.stdout.write(new TextEncoder().encode("serving\n"));
await server.finished;
await registered?.stop();
Deno.exit(0);
