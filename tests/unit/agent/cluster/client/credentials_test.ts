/** What a kubeconfig's credentials may be; a secret that is none is not shown to anybody. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createCredentials } from "../../../../../agent/cluster/client/credentials.ts";
import { parseExecCredential } from "../../../../../agent/cluster/client/exec_credential.ts";
import { ApiError } from "../../../../../agent/cluster/client/api_error.ts";
import { createFakeHost } from "../../../../fakes/host.ts";
import { never } from "../connected.ts";

const server = "https://192.0.2.1:6443";

Deno.test("a token of visible characters is taken without the space around it; another is refused without a word of it", async () => {
  const host = createFakeHost({ files: { "/token": "abc.def\n" } });
  const fromFile = createCredentials(host, { server, tokenFile: "/token" });
  assertEquals((await fromFile.identity(never())).token, "abc.def");
  await host.writeFile("/token", "hunter\n2");
  fromFile.reload();
  const inline = createCredentials(host, { server, token: "hunter\u00002" });
  for (const credentials of [fromFile, inline]) {
    const error = await assertRejects(() => credentials.identity(never()), ApiError);
    assertEquals([error.reason, error.message.includes("hunter")], ["Unauthorized", false]);
  }
});

Deno.test("a plugin's token, too", () => {
  const apiVersion = "client.authentication.k8s.io/v1";
  const answer = JSON.stringify({ apiVersion, kind: "ExecCredential", status: { token: "hunter\r\n2" } });
  const read = parseExecCredential(answer, apiVersion);
  assert("wrong" in read);
  assert(!read.wrong.includes("hunter"));
});
