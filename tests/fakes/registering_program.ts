/**
 * A plugin as a program: `registering_program.ts SOCKET TYPE NAME` registers itself until it is ended, and prints what it
 * was told. Not for: what it would be registered for.
 */
// deno-lint-ignore-file no-console -- a program
import { startRegisteringPlugin } from "./registration.ts";

const [socket = "", type = "", name = ""] = Deno.args;
const plugin = await startRegisteringPlugin(socket, { type, name });
for (let seen = 0;; await new Promise((resolve) => setTimeout(resolve, 50))) {
  for (const text of plugin.told.slice(seen)) console.log(`told: ${text === "" ? "registered" : text}`);
  seen = plugin.told.length;
}
