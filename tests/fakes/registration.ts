/**
 * A plugin that registers itself: it serves the registration service at a socket and remembers what it was told. Not for:
 * what it would be registered for; give `services` for that.
 */
import { RegistrationDefinition } from "../../plugins/rpc/gen/pluginregistration.ts";
import { bindService, type BoundService, serve } from "../../plugins/rpc/mod.ts";

export interface RegisteringPlugin extends AsyncDisposable {
  /** "" for each time that it was told to be registered, else the error. */
  readonly told: string[];
  /** How often it was asked who it is. */
  asked(): number;
  /** Ends the server; its socket goes. */
  stop(): Promise<void>;
}

export interface Introduction {
  type: string;
  name: string;
  /** The registration socket itself unless told. */
  endpoint?: string;
  versions?: string[];
}

/** `path` is of the socket; its directory must exist. What is said may change between two questions. */
export async function startRegisteringPlugin(
  path: string,
  said: Introduction | (() => Introduction | Promise<Introduction>),
  services: readonly BoundService[] = [],
): Promise<RegisteringPlugin> {
  const told: string[] = [];
  let asked = 0;
  const ending = new AbortController();
  const registration = bindService(RegistrationDefinition, {
    async getInfo() {
      asked++;
      const { type, name, endpoint, versions } = typeof said === "function" ? await said() : said;
      return { type, name, endpoint: endpoint ?? "", supportedVersions: versions ?? ["1.0.0"] };
    },
    notifyRegistrationStatus({ pluginRegistered, error }) {
      told.push(pluginRegistered ? "" : error);
      return Promise.resolve({});
    },
  });
  const { finished } = await serve(path, [registration, ...services], { signal: ending.signal });
  const stop = async () => {
    ending.abort();
    await finished;
  };
  return { told, asked: () => asked, stop, [Symbol.asyncDispose]: stop };
}
