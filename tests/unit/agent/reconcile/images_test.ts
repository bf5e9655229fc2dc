import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import { forgiveImages } from "../../../../agent/model/memory.ts";
import { emptyMemory } from "../../../../agent/model/plan.ts";
import type { Failure } from "../../../../agent/model/restart.ts";
import type { Images, ImageStatus } from "../../../../agent/ports.ts";
import { createGate } from "../../../../agent/lib/gate.ts";
import { ensureImage } from "../../../../agent/reconcile/images.ts";

const container = { name: "c", image: "app:1", volumeMounts: [{ name: "model", mountPath: "/m" }] };
const podWith = (pullPolicy: string): Pod => ({
  metadata: { name: "p", namespace: "default" },
  spec: {
    containers: [container],
    volumes: [
      { name: "model", image: { reference: "model:1", pullPolicy } },
      { name: "unused", image: { reference: "never-asked-for:1", pullPolicy } },
    ],
  },
});
const statusOf = (name: string): ImageStatus => ({
  id: `sha256:${name}`,
  repoTags: [name],
  repoDigests: [],
  size: 1,
  user: "",
  pinned: false,
});

/** What becomes of a container's images when these are present and these can be pulled. */
async function ensuring(
  pullPolicy: string,
  present: string[],
  registry: string[],
  imagePullSecrets: { name: string }[] = [],
) {
  const signal = new AbortController().signal;
  const pulled: string[] = [];
  const events: string[] = [];
  const images: Pick<Images, "status" | "pull"> = {
    status: (image) => Promise.resolve([...present, ...pulled].includes(image) ? statusOf(image) : undefined),
    pull(image) {
      if (!registry.includes(image)) {
        return Promise.reject(new AgentError("ErrImagePull", `${image}: not found`));
      }
      pulled.push(image);
      return Promise.resolve(image);
    },
  };
  const options = {
    images: images as Images,
    archives: { settled: () => Promise.resolve(), brought: () => false },
    pulls: createGate(Infinity),
    credentials: { keyrings: () => Promise.resolve({ keyrings: [], failures: [] }) },
  };
  const wanted = podWith(pullPolicy);
  const named = { ...wanted, spec: { ...wanted.spec!, imagePullSecrets } };
  const pod = { pod: named, uid: "u", source: "file" as const, origin: "test" };
  const request = {
    pod,
    container,
    attempt: 3,
    secrets: new Map([["default/there", { data: {} }]]),
    record: (_: string, reason: string, message: string) => void events.push(`${reason}: ${message}`),
  };
  const ready = await ensureImage(options, request, signal).catch((error) => error);
  return { ready, pulled, events };
}

Deno.test("the images of the image volumes that a container mounts are made ready with its own", async () => {
  const { ready, pulled, events } = await ensuring("IfNotPresent", ["app:1"], ["model:1"]);
  assertEquals(ready, {
    attempt: 3,
    image: "app:1",
    ref: "sha256:app:1",
    user: "",
    volumes: new Map([["model", { reference: "model:1", ref: "sha256:model:1" }]]),
  });
  assertEquals(pulled, ["model:1"]);
  assertEquals(events, [
    'Pulling: Pulling image "model:1"',
    'Pulled: Successfully pulled image "model:1"',
    'Pulled: Container image "app:1" already present on machine',
  ]);
  assertEquals((await ensuring("Always", ["app:1", "model:1"], ["model:1"])).pulled, ["model:1"]);
});

Deno.test("an image volume whose image is missing or cannot be pulled holds its container up, with the reasons of images", async () => {
  const never = (await ensuring("Never", ["app:1"], ["model:1"])).ready;
  assertEquals([never.reason, never.message], [
    "ErrImageNeverPull",
    'Image "model:1" of volume "model" is not present with pull policy of Never',
  ]);
  const failed = await ensuring("IfNotPresent", ["app:1"], []);
  await assertRejects(
    () => Promise.reject(failed.ready),
    AgentError,
    'Image "model:1" of volume "model": model:1: not found',
  );
  assertEquals(failed.ready.reason, "ErrImagePull");
});

Deno.test("an image that comes another way ends the waiting of the containers that mount it", () => {
  const failure: Failure = { reason: "ErrImagePull", message: "", count: 1, retryAt: 1e9 };
  const memory = { ...emptyMemory, failures: new Map([["image:c", failure]]) };
  const left = (image: string) =>
    forgiveImages(memory, podWith("IfNotPresent"), (i) => i === image).failures.size;
  assertEquals(["model:1", "app:1", "never-asked-for:1"].map(left), [0, 0, 1]);
});

Deno.test("imagePullSecrets that are not there are told of, and keep nobody from trying", async () => {
  const { events, ready } = await ensuring("IfNotPresent", ["model:1"], ["app:1"], [
    { name: "there" },
    { name: "gone" },
  ]);
  assertEquals(ready.ref, "sha256:app:1");
  assertEquals(events.filter((e) => e.startsWith("FailedToRetrieve")), [
    "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (gone); " +
    "attempting to pull the image may not succeed.",
  ]);
});
