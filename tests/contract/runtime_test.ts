/**
 * The runtime contract on the fake and on a real containerd (as root, where one is installed).
 */
import { createCri } from "../../plugins/cri/mod.ts";
import { startPrivateContainerd } from "../e2e/containerd.ts";
import { BUSYBOX_IMAGE, writeImageArchive } from "../../tools/busybox_image.ts";
import { createFakeRuntime } from "../fakes/runtime.ts";
import { type RuntimeSubject, testRuntime } from "./runtime_suite.ts";

testRuntime("the fake", false, () => {
  const fake = createFakeRuntime({
    images: [BUSYBOX_IMAGE],
    registry: [],
    onStart: ({ command }) => {
      const exit = /^exit (\d+)$/.exec(command[2] ?? "");
      return exit === null ? undefined : Number(exit[1]);
    },
    onExec: (_, [, , script = ""]) =>
      script.startsWith("sleep")
        ? { exitCode: undefined, output: "" }
        : { exitCode: Number(/exit (\d+)$/.exec(script)?.[1] ?? 0), output: "out\nerr\n" },
  });
  const archive = { path: "/images/brought.tar", name: "docker.io/library/brought:latest" };
  const { runtime, images } = fake;
  return Promise.resolve({
    runtime,
    images,
    image: BUSYBOX_IMAGE,
    archive,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

const hasContainerd = ["/usr/bin/containerd", "/usr/local/bin/containerd"].some((path) => {
  try {
    return Deno.statSync(path).isFile && Deno.uid() === 0;
  } catch {
    return false;
  }
});

testRuntime("containerd", !hasContainerd, async (): Promise<RuntimeSubject> => {
  const containerd = await startPrivateContainerd();
  const cri = createCri({ endpoint: containerd.endpoint, instance: "contract" });
  const name = "docker.io/library/brought:latest";
  const base = await writeImageArchive(containerd.directory, "base.tar", { tags: [BUSYBOX_IMAGE] });
  const path = await writeImageArchive(containerd.directory, "brought.tar", {
    tags: [name],
    format: "oci",
    files: { "/etc/brought": "yes" },
  });
  await cri.images.importArchive(base, AbortSignal.timeout(30_000));
  return {
    runtime: cri.runtime,
    images: cri.images,
    image: BUSYBOX_IMAGE,
    archive: { path, name },
    [Symbol.asyncDispose]: async () => {
      cri.close();
      await containerd[Symbol.asyncDispose]();
      await Deno.remove("/run/agent-contract-logs", { recursive: true }).catch(() => {});
    },
  };
});
