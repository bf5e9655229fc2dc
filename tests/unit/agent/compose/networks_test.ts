import { assertEquals } from "@std/assert";
import { withNetworkStatus } from "../../../../agent/compose/networks.ts";
import { createFakeNetwork } from "../../../fakes/cni_plugin.ts";
import { createFakeRuntime } from "../../../fakes/runtime.ts";

const signal = new AbortController().signal;

Deno.test("a network of version 1.1 says itself whether it takes pods, an older one leaves it to the runtime", async () => {
  await using fake = await createFakeNetwork(["one"], 200);
  const runtime = withNetworkStatus(createFakeRuntime().runtime, fake.cni);
  const told = async () => {
    const { networkReady, message } = await runtime.status(signal);
    return [networkReady, message];
  };
  assertEquals(await told(), [true, ""], "there is none");
  const configure = (cniVersion: string) =>
    fake.configure("10-a.conflist", JSON.stringify({ cniVersion, name: "a", plugins: [{ type: "one" }] }));
  await configure("1.1.0");
  assertEquals(await told(), [true, ""]);
  await fake.answer("one", "STATUS", `echo '{"code":50,"msg":"no addresses left"}'; exit 1`);
  const where = `network a (${fake.directory}/conf/10-a.conflist): CNI plugin one (STATUS)`;
  assertEquals(await told(), [false, `${where}: no addresses left`]);
  await fake.answer("one", "STATUS", "sleep 100");
  assertEquals((await told())[0], false, "a plugin that hangs is no runtime that does");
  await configure("1.0.0");
  assertEquals(await told(), [true, ""]);
});
