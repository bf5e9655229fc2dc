/**
 * Makes the images of one container ready, its own and those of its image volumes: the pull policy, credentials, bounded parallel pulls, archives that are
 * still being imported. Not for: when to try again (model/restart.ts).
 */
import type { Container, Secret } from "../model/gen/v1.ts";
import type { Images, ImageStatus, NodeCredentials } from "../ports.ts";
import type { ReadyImage, VolumeImage } from "../model/plan.ts";
import type { DesiredPod } from "../model/wish.ts";
import { AgentError, errorText } from "../model/errors.ts";
import { imageVolumes } from "../model/volumes.ts";
import { authsFor, imageRepository, type Keyring, secretKeyring } from "../model/pull_secrets.ts";
import type { Gate } from "../lib/gate.ts";

/** What the images directory knows: archives count as the registry of the images they brought. */
export interface Archives {
  /** Resolves when no archive that may bring the image is waiting to be imported. */
  settled(image: string, signal: AbortSignal): Promise<void>;
  /** True when an archive brought the image. */
  brought(image: string): boolean;
}

export interface ImageOptions {
  images: Images;
  archives: Archives;
  pulls: Gate;
  credentials: NodeCredentials;
}

export type RecordEvent = (
  type: "Normal" | "Warning",
  reason: string,
  message: string,
  container?: string,
) => void;

export interface ImageRequest {
  pod: DesiredPod;
  container: Container;
  attempt: number;
  secrets: ReadonlyMap<string, Secret>;
  record: RecordEvent;
}

/** One image that a container needs; `what` begins the sentences of events. */
interface Wanted {
  image: string;
  policy: string;
  what: string;
}

/** Throws ErrImageNeverPull, ErrImagePull or InvalidImageName. */
export async function ensureImage(
  o: ImageOptions,
  r: ImageRequest,
  signal: AbortSignal,
): Promise<ReadyImage> {
  const { image = "", imagePullPolicy: policy = "IfNotPresent" } = r.container;
  const volumes = new Map<string, VolumeImage>();
  for (const { name, image: source } of imageVolumes(r.pod.pod, r.container)) {
    const { reference = "", pullPolicy = "IfNotPresent" } = source;
    const wanted = { image: reference, policy: pullPolicy, what: `Image "${reference}" of volume "${name}"` };
    const { id } = await ensurePresent(o, r, wanted, signal).catch((error) => {
      throw signal.aborted ? error : ofVolume(wanted, error);
    });
    volumes.set(name, { reference, ref: id });
  }
  const { id, user } = await ensurePresent(
    o,
    r,
    { image, policy, what: `Container image "${image}"` },
    signal,
  );
  return { attempt: r.attempt, image, ref: id, user, volumes };
}

/** A container's status speaks of its own image otherwise. */
function ofVolume({ what }: Wanted, error: unknown): unknown {
  if (!(error instanceof AgentError) || error.message.startsWith(what)) return error;
  return new AgentError(error.reason, `${what}: ${error.message}`, { retry: error.retry, cause: error });
}

async function ensurePresent(
  o: ImageOptions,
  r: ImageRequest,
  { image, policy, what }: Wanted,
  signal: AbortSignal,
): Promise<ImageStatus> {
  await o.archives.settled(image, signal);
  const present = await o.images.status(image, signal);
  if (present !== undefined && (policy !== "Always" || o.archives.brought(image))) {
    r.record("Normal", "Pulled", `${what} already present on machine`, r.container.name);
    return present;
  }
  if (policy === "Never") {
    throw new AgentError("ErrImageNeverPull", `${what} is not present with pull policy of Never`);
  }
  return await o.pulls.run(() => pull(o, r, image, signal), signal);
}

async function pull(
  o: ImageOptions,
  r: ImageRequest,
  image: string,
  signal: AbortSignal,
): Promise<ImageStatus> {
  r.record("Normal", "Pulling", `Pulling image "${image}"`, r.container.name);
  const own = secretKeyring(r.pod.pod, r.secrets);
  warnOfMissing(r);
  const warn = (failure: string) =>
    r.record("Warning", "FailedCredentialProvider", failure, r.container.name);
  try {
    const ref = await pullWithAny(o, image, own, warn, signal);
    const status = await o.images.status(ref, signal) ?? await o.images.status(image, signal);
    if (status === undefined) {
      throw new AgentError("ErrImagePull", `"${image}" was pulled but is not to be found`);
    }
    r.record("Normal", "Pulled", `Successfully pulled image "${image}"`, r.container.name);
    return status;
  } catch (error) {
    if (!signal.aborted) {
      r.record("Warning", "Failed", `Failed to pull image "${image}": ${errorText(error)}`, r.container.name);
    }
    throw error;
  }
}

/** In the kubelet's words; the registry may want none of them. */
function warnOfMissing({ pod: { pod }, secrets, record, container }: ImageRequest): void {
  const { namespace = "default" } = pod.metadata ?? {};
  const names = (pod.spec?.imagePullSecrets ?? []).map(({ name = "" }) => name);
  const missing = names.filter((name) => !secrets.has(`${namespace}/${name}`));
  if (missing.length === 0) return;
  const message = `Unable to retrieve some image pull secrets (${missing.join(", ")}); ` +
    "attempting to pull the image may not succeed.";
  record("Warning", "FailedToRetrieveImagePullSecret", message, container.name);
}

/**
 * Pulls with each password that may open the registry until one does, the caller's own (`own`) first; without one,
 * nameless. Returns the reference; throws what the last try threw.
 */
export async function pullWithAny(
  { images, credentials }: Pick<ImageOptions, "images" | "credentials">,
  image: string,
  own: Keyring,
  warn: (failure: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const { keyrings, failures } = await credentials.keyrings(imageRepository(image), signal);
  failures.forEach(warn);
  const auths = authsFor(image, [own, ...keyrings]);
  let failure: unknown;
  for (const auth of auths.length === 0 ? [undefined] : auths) {
    try {
      return await images.pull(image, auth, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      failure = error;
    }
  }
  throw failure;
}
