// A directory with device nodes of its own, and waiting for a source to offer something. Needs root.
import { createHost } from "../../../../agent/host.ts";
import type { DeviceSource } from "../../../../agent/plugin_ports.ts";
import { followDevices, type SeenDevices } from "../../../../plugins/local_devices/mod.ts";

export const host = createHost();

export async function mknod(path: string, kind: "c" | "b", major: number, minor: number): Promise<void> {
  const args = [path, kind, String(major), String(minor)];
  const { success, stderr } = await new Deno.Command("mknod", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

interface Followed {
  source: DeviceSource;
  run(signal: AbortSignal): Promise<void>;
}

/** Runs a test beside local devices that follow a directory; both end with it. */
export async function following(
  make: (directory: string) => Followed | SeenDevices,
  test: (directory: string, source: DeviceSource, until: Until) => Promise<void>,
): Promise<void> {
  const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "local-devices-" }));
  const end = new AbortController();
  const made = make(directory);
  const { source } = made;
  const running = "run" in made ? made.run(end.signal) : followDevices(host, [made], end.signal);
  try {
    await Promise.race([running, test(directory, source, untilOffered(source))]);
  } finally {
    end.abort();
    await running;
    await Deno.remove(directory, { recursive: true });
  }
}

export type Until = (what: (shown: Record<string, string[]>) => boolean) => Promise<Record<string, string[]>>;

/** Devices by resource as text; unhealthy ones end in `!`. */
export function shown(source: DeviceSource): Record<string, string[]> {
  return Object.fromEntries(
    [...source.offers()].map(([resource, { devices }]) => [
      resource,
      devices.map(({ id, healthy }) => healthy ? id : `${id}!`),
    ]),
  );
}

const limitMs = 10_000;

/** Looks at once and after each change. */
function untilOffered(source: DeviceSource): Until {
  return async (what) => {
    const end = new AbortController();
    const changed = Promise.withResolvers<void>();
    const look = () => what(shown(source)) ? changed.resolve() : undefined;
    source.subscribe(look, end.signal);
    const timer = setTimeout(
      () => changed.reject(new Error(`not offered: ${JSON.stringify(shown(source))}`)),
      limitMs,
    );
    look();
    try {
      await changed.promise;
      return shown(source);
    } finally {
      clearTimeout(timer);
      end.abort();
    }
  };
}
