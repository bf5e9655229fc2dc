/**
 * The socket where device plugins register themselves. It is made anew with each run of the agent, after the plugins'
 * own sockets have been removed: by that they know that they are to register again. Source: kubernetes
 * pkg/kubelet/cm/devicemanager/plugin/v1beta1/server.go. Not for: what follows from a registration (plugins.ts).
 */
import { join } from "@std/path";
import { errorText } from "../../agent/model/errors.ts";
import type { Host } from "../../agent/ports.ts";
import { RegistrationDefinition } from "../rpc/gen/device_plugin.ts";
import { bindService, Code, RpcError, serve } from "../rpc/mod.ts";
import { checkRegistration, type DevicePlugins } from "./plugins.ts";

export interface RegistrationOptions {
  host: Host;
  /** `ROOT/device-plugins`. */
  directory: string;
  plugins: DevicePlugins;
}

const socketName = "kubelet.sock";
/** Of sun_path, without its last zero. */
const maxSocketPath = 107;

async function removeSockets(host: Host, directory: string): Promise<void> {
  for (const name of await host.list(directory) ?? []) {
    const path = join(directory, name);
    if (name !== socketName && (await host.lstat(path))?.kind === "socket") await host.remove(path);
  }
}

/** Whose plugins the sockets would be. */
async function refuseTaken(path: string): Promise<void> {
  const socket = await Deno.connect({ transport: "unix", path }).catch(() => undefined);
  socket?.close();
  if (socket !== undefined) throw new RpcError(Code.ALREADY_EXISTS, `a kubelet answers at ${path}`);
}

function check(endpoint: string, resource: string, version: string, directory: string): string {
  try {
    checkRegistration(resource, [version]);
  } catch (error) {
    throw new RpcError(Code.INVALID_ARGUMENT, errorText(error));
  }
  if (!/^[^/\0]+$/.test(endpoint) || endpoint === "." || endpoint === ".." || endpoint === socketName) {
    const said = JSON.stringify(endpoint.slice(0, 300));
    throw new RpcError(Code.INVALID_ARGUMENT, `expected the name of a socket in ${directory}, got ${said}`);
  }
  const path = join(directory, endpoint);
  if (new TextEncoder().encode(path).length <= maxSocketPath) return path;
  throw new RpcError(
    Code.INVALID_ARGUMENT,
    `the path of a socket has at most ${maxSocketPath} bytes: ${path}`,
  );
}

/** Serves until the signal aborts. Throws when another one serves there. */
export async function runRegistration(o: RegistrationOptions, signal: AbortSignal): Promise<void> {
  const { host, directory, plugins } = o;
  await host.mkdir(directory, 0o750);
  const service = bindService(RegistrationDefinition, {
    async register({ version, endpoint, resourceName }) {
      const socket = check(endpoint, resourceName, version, directory);
      try {
        // A plugin that does not wait for the answer is taken all the same.
        await plugins.add(resourceName, socket, signal);
      } catch (error) {
        throw new RpcError(Code.UNKNOWN, errorText(error));
      }
      return {};
    },
  });
  const path = join(directory, socketName);
  await refuseTaken(path);
  await removeSockets(host, directory);
  const server = await serve(path, [service], {
    signal,
    maxMessageBytes: 64 * 1024,
    maxConnections: 512,
  });
  await server.finished;
}
