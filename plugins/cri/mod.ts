/**
 * The container runtime (containerd, CRI-O) as the Runtime and Images ports, over CRI v1 on unix sockets.
 */
import type { Images, ImageVolumes, Runtime, Streams } from "../../agent/ports.ts";
import { EventsDefinition } from "../rpc/gen/containerd_events.ts";
import { SnapshotsDefinition } from "../rpc/gen/containerd_snapshots.ts";
import { ImageServiceDefinition, RuntimeServiceDefinition } from "../rpc/gen/cri.ts";
import { createChannel, createClient } from "../rpc/mod.ts";
import { createArchiveImporter } from "./archives.ts";
import { readEvents } from "./events.ts";
import { createImageVolumes } from "./image_volumes.ts";
import { createImages } from "./images.ts";
import { createObserver } from "./observer.ts";
import { createRuntime } from "./runtime.ts";
import { createStreams } from "./streams.ts";

export { createPauseImageArchive, PAUSE_IMAGE } from "./pause_image.ts";

/** What the kubelet gives a runtime for one call (runtimeRequestTimeout). */
const checkpointMs = 120_000;

export interface CriOptions {
  /** Path of the runtime's socket, with or without `unix://`. */
  endpoint: string;
  /** Where the image service is another; default the same socket. */
  imageEndpoint?: string;
  /** Name of this agent: only objects labelled with it are listed or touched. */
  instance: string;
  /** Directory of Localhost seccomp profiles; default the kubelet's. */
  seccompRoot?: string;
  /** Whether containers without a seccomp profile get the runtime's; default false, as the kubelet's. */
  seccompDefault?: boolean;
  /** Path of `ctr`, for image archives; default: looked for where programs are installed. */
  ctr?: string;
}

export interface Cri {
  runtime: Runtime;
  images: Images;
  imageVolumes: ImageVolumes;
  streams: Streams;
  /**
   * Writes a running container's state to a file, within `timeoutSeconds` (0: the runtime's own limit). Throws where the
   * runtime cannot.
   */
  checkpoint(id: string, location: string, timeoutSeconds: number, signal: AbortSignal): Promise<void>;
  /** Ends the connections; calls under way fail. */
  close(): void;
}

export function createCri(options: CriOptions): Cri {
  const socket = socketPath(options.endpoint);
  const imageSocket = socketPath(options.imageEndpoint ?? options.endpoint);
  const channel = createChannel(socket);
  const imageChannel = imageSocket === socket ? channel : createChannel(imageSocket);
  const client = createClient(RuntimeServiceDefinition, channel);
  const imageClient = createClient(ImageServiceDefinition, imageChannel);
  const containerd = createClient(EventsDefinition, channel);
  const { instance } = options;
  const observer = createObserver(client, instance);
  const runtime = createRuntime(
    client,
    observer,
    (signal) => readEvents({ client, containerd, observer, instance }, signal),
    {
      instance,
      seccompRoot: options.seccompRoot ?? "/var/lib/kubelet/seccomp",
      seccompDefault: options.seccompDefault ?? false,
    },
  );
  const importer = createArchiveImporter({
    socket: imageSocket,
    runtimeName: async (signal) => (await runtime.version(signal)).name,
    ...(options.ctr === undefined ? {} : { ctr: options.ctr }),
  });
  return {
    runtime,
    images: createImages(imageClient, importer),
    imageVolumes: createImageVolumes(
      { runtime: client, images: imageClient, snapshots: createClient(SnapshotsDefinition, channel) },
      instance,
    ),
    streams: createStreams(client),
    async checkpoint(containerId, location, timeoutSeconds, signal) {
      const longest = timeoutSeconds > 0 ? timeoutSeconds * 1000 : checkpointMs;
      const ending = AbortSignal.any([signal, AbortSignal.timeout(longest + 5_000)]);
      const timeout = BigInt(timeoutSeconds);
      await client.checkpointContainer({ containerId, location, timeout }, { signal: ending });
    },
    close: () => {
      channel.close();
      if (imageChannel !== channel) imageChannel.close();
    },
  };
}

const socketPath = (endpoint: string): string => endpoint.replace(/^unix:(\/\/)?/, "");
