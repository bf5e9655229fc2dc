import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { CommandResult, Host, MountPoint } from "../../../../agent/ports.ts";
import { nfsMount, publishNfs } from "../../../../agent/volumes/nfs.ts";
import { unmount } from "../../../../agent/volumes/unmount.ts";
import { createFakeHost, type FakeHost } from "../../../fakes/host.ts";
import { desire, host as onHost, inDirectory, requestFor, soon, volumesAt } from "./sandbox.ts";

const signal = new AbortController().signal;
const path = "/pods/u/volumes/kubernetes.io~nfs/data";
const export1 = { server: "nfs.example", path: "/exports/a" };
const result = (code: number, stderr = ""): CommandResult => ({
  code,
  stdout: new Uint8Array(),
  stderr: new TextEncoder().encode(stderr),
});

/** A host with the NFS client whose programs answer so; what ran is recorded. */
function nfsHost(
  answer: (argv: string[]) => CommandResult | Promise<CommandResult>,
): { host: FakeHost; ran: string[] } {
  const ran: string[] = [];
  const exec = (argv: string[]) => (ran.push(argv.join(" ")), answer(argv));
  return { host: createFakeHost({ files: { "/sbin/mount.nfs": "" }, exec }), ran };
}

Deno.test("nfs: server, path and readOnly make the line of mount(8)", async () => {
  const { host, ran } = nfsHost(() => result(0));
  await publishNfs(host, export1, path, undefined, signal);
  await publishNfs(host, { ...export1, readOnly: true }, path, undefined, signal);
  assertEquals(ran, [
    `mount -t nfs -- nfs.example:/exports/a ${path}`,
    `mount -t nfs -o ro -- nfs.example:/exports/a ${path}`,
  ]);
  assertEquals(host.mode(path), 0o750);
  for (const server of ["2001:db8::1", "[2001:db8::1]"]) {
    assertEquals(nfsMount({ server, path: "/" }, path).source, "[2001:db8::1]:/");
  }
});

Deno.test("nfs: what is mounted is left alone, another export comes on top", async () => {
  const { host, ran } = nfsHost(() => result(0));
  const mounted = (source: string, ...options: string[]): MountPoint => ({
    path,
    fsType: "nfs4",
    source,
    options,
  });
  await publishNfs(host, export1, path, mounted("nfs.example:/exports/a", "rw"), signal);
  await publishNfs(
    host,
    { ...export1, path: "/exports/a/" },
    path,
    mounted("nfs.example:/exports/a", "rw"),
    signal,
  );
  assertEquals([ran, host.changes], [[], []]);
  await publishNfs(host, export1, path, mounted("nfs.example:/exports/b", "rw"), signal);
  await publishNfs(host, export1, path, mounted("nfs.example:/exports/a", "ro"), signal);
  assertEquals(ran.length, 2);
});

Deno.test("nfs: without mount.nfs the package to install is named; what mount says is told", async () => {
  const bare = createFakeHost();
  const error = await assertRejects(
    () => publishNfs(bare, export1, path, undefined, signal),
    AgentError,
    "nfs-common",
  );
  assertEquals([error.reason, error.retry, bare.changes], ["FailedMount", true, []]);
  const { host } = nfsHost(() => result(32, "mount.nfs: access denied by server\n"));
  await assertRejects(
    () => publishNfs(host, export1, path, undefined, signal),
    AgentError,
    "cannot mount nfs.example:/exports/a: mount.nfs: access denied by server",
  );
});

Deno.test("nfs: a server that does not answer holds up neither mounting nor unmounting for ever", async () => {
  const never = new Promise<CommandResult>(() => {});
  const stuck = nfsHost(() => never);
  await assertRejects(
    () => publishNfs(stuck.host, export1, path, undefined, soon()),
    AgentError,
    "mount has not ended",
  );
  const lazily: string[] = [];
  const host: Host = {
    ...stuck.host,
    unmount: (at, options) => Promise.resolve(void lazily.push(`${at} ${options?.lazy}`)),
  };
  await unmount(host, { path, fsType: "nfs4" }, soon());
  assertEquals(lazily, [`${path} true`]);
});

Deno.test("nfs: a look into a volume that never answers ends with its time, and holds up no worker", () =>
  inDirectory(async (root) => {
    const container = { name: "c", volumeMounts: [{ name: "v", mountPath: "/v", subPath: "a" }] };
    const pod = desire({ volumes: [{ name: "v", nfs: export1 }], containers: [container] });
    const published = new Map([["v", { name: "v", hostPath: "/nfs", readonly: false }]]);
    const silent: Host = {
      ...onHost,
      realPath: (at) => at === "/nfs" ? new Promise(() => {}) : onHost.realPath(at),
    };
    await assertRejects(
      () => volumesAt(root, silent).containerEdits(requestFor(container, { pod, published }), soon()),
      AgentError,
      "the volume does not answer",
    );
  }));

Deno.test("nfs: unmounting is first gentle, then forced and lazy; other file systems need no program", async () => {
  const { host, ran } = nfsHost((argv) => result(argv.includes("-f") ? 0 : 16));
  await unmount(host, { path, fsType: "nfs" }, signal);
  assertEquals(ran, [`umount -n -- ${path}`, `umount -n -f -l -- ${path}`]);
  await unmount(host, { path: "/x", fsType: "tmpfs" }, signal);
  assertEquals(ran.length, 2);
});
