import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { PodSpec, ServiceAccountTokenProjection, Volume } from "../../../../agent/model/gen/v1.ts";
import type { TokenSource } from "../../../../agent/ports.ts";
import { desire, host, inDirectory, modeOf, needsRoot, noObjects, signal, volumesAt } from "./sandbox.ts";

const volumes: Volume[] = [{
  name: "v",
  projected: {
    defaultMode: 0o444,
    sources: [
      { serviceAccountToken: { path: "token" } },
      { serviceAccountToken: { path: "vault/token", audience: "vault", expirationSeconds: 600 } },
    ],
  },
}];

/** `PATH MODE UID:GID CONTENT` of the tokens of a pod with this spec, and what was asked for them. */
async function tokensOf(root: string, spec: Partial<PodSpec>) {
  const asked: ServiceAccountTokenProjection[] = [];
  const tokens: TokenSource = {
    request: (_, wanted) =>
      Promise.resolve(
        (asked.push(wanted), {
          token: `token for ${wanted.audience ?? "the API"}`,
          expirationTimestamp: "2026-01-01T00:00:00Z",
        }),
      ),
  };
  const storage = volumesAt(root, host, undefined, tokens);
  const { hostPath } = (await storage.publish(desire({ volumes, ...spec }), noObjects, signal)).get("v")!;
  const files = await Promise.all(["token", "vault/token"].map(async (path) => {
    const real = await Deno.realPath(`${hostPath}/${path}`);
    const { uid, gid } = Deno.lstatSync(real);
    return `${path} ${modeOf(real)} ${uid}:${gid} ${await Deno.readTextFile(real)}`;
  }));
  return { files, asked };
}

Deno.test({
  name:
    "serviceAccountToken: once there is somebody who signs, a token is the pod's user's alone, as the kubelet has it",
  ...needsRoot,
  fn: () =>
    inDirectory(async (root) => {
      const open = await tokensOf(root, {});
      assertEquals(open.files, ["token 444 0:0 token for the API", "vault/token 444 0:0 token for vault"]);
      assertEquals(open.asked, volumes[0]!.projected!.sources!.map((s) => s.serviceAccountToken!));
      const containers = [{ name: "a" }, { name: "b", securityContext: { runAsUser: 1234 } }];
      const user = await tokensOf(root, { securityContext: { runAsUser: 1234 }, containers });
      assertEquals(user.files.map((f) => f.split(" token for")[0]), [
        "token 600 1234:0",
        "vault/token 600 1234:0",
      ]);
      const both = await tokensOf(root, { securityContext: { runAsUser: 1, fsGroup: 2000 }, containers });
      assertEquals(both.files[0]?.split(" token for")[0], "token 640 0:2000", "two users: the group's");
    }),
});

Deno.test("serviceAccountToken: without a cluster it is said what is missing", () =>
  inDirectory(async (root) => {
    await assertRejects(
      () => volumesAt(root).publish(desire({ volumes }), noObjects, signal),
      AgentError,
      "serviceAccountToken needs a cluster: this node has not joined one",
    );
  }));
