/**
 * The identity that a kubeconfig names: from itself, from files that others may replace, or from a credential plugin. Not
 * for: getting a certificate (bootstrap.ts), nor for using it (client.ts).
 */
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import type { Credentials } from "./api.ts";
import { ApiError } from "./api_error.ts";
import type { Identity } from "./client.ts";
import { type ExecCredential, execInfo, isToken, parseExecCredential } from "./exec_credential.ts";
import type { ExecPlugin, Kubeconfig, Source } from "./kubeconfig.ts";

export type CredentialHost = Pick<Host, "readText" | "exec" | "monotonic" | "now">;

export interface FileCredentials extends Credentials {
  /** A file has been replaced: the next request looks. */
  reload(): void;
}

/** Files are looked at again after this time, in ms. */
const freshMs = 10_000;
const pluginMs = 60_000;
/** What could not be had is not tried again at once by each of many who ask. */
const restMs = 2_000;

/** PEM. @throws {ApiError} when it cannot be read. */
export async function readSource(host: Pick<Host, "readText">, source: Source): Promise<string> {
  if ("pem" in source) return source.pem;
  const text = await host.readText(source.file).catch((error) => {
    throw unusable(`${source.file} cannot be read: ${errorText(error)}`);
  });
  if (text === undefined) throw unusable(`${source.file} does not exist`);
  return text;
}

/** Those of a bootstrap token, for instance: there are no others to be had. */
export const fixedCredentials = (identity: Identity): Credentials => ({
  identity: () => Promise.resolve(identity),
  refused: () => {},
});

const unusable = (message: string) => new ApiError(0, "Unauthorized", message);

export function createCredentials(host: CredentialHost, kubeconfig: Kubeconfig): FileCredentials {
  let known: Identity | undefined;
  let lookAgain = -Infinity;
  let loading: Promise<Identity> | undefined;
  let answered: ExecCredential | undefined;
  let failed: { error: unknown; until: number } | undefined;

  async function load(): Promise<Identity> {
    const found = kubeconfig.exec === undefined
      ? await fromFiles(host, kubeconfig)
      : await fromPlugin(kubeconfig.exec);
    // The same object as long as it says the same: connections are kept by it.
    if (JSON.stringify(found) !== JSON.stringify(known)) known = found;
    lookAgain = host.monotonic() + freshMs;
    return known!;
  }

  async function fromPlugin(exec: ExecPlugin): Promise<Identity> {
    if (answered === undefined || (answered.expires ?? Infinity) <= host.now()) {
      answered = await runPlugin(host, kubeconfig, exec);
    }
    const { expires: _expires, ...identity } = answered;
    return identity;
  }

  return {
    async identity(signal) {
      signal.throwIfAborted();
      if (known !== undefined && host.monotonic() < lookAgain) return known;
      if (failed !== undefined && host.monotonic() < failed.until) throw failed.error;
      // One for all who wait; none of them can end it.
      return await (loading ??= load().catch((error) => {
        failed = { error, until: host.monotonic() + restMs };
        throw error;
      }).finally(() => loading = undefined));
    },
    refused(identity) {
      if (identity !== known) return;
      answered = undefined;
      lookAgain = -Infinity;
    },
    reload: () => lookAgain = -Infinity,
  };
}

async function fromFiles(host: CredentialHost, kubeconfig: Kubeconfig): Promise<Identity> {
  const { certificate, key, token, tokenFile } = kubeconfig;
  const read = tokenFile === undefined ? token : await readSource(host, { file: tokenFile });
  return {
    ...(certificate === undefined || key === undefined
      ? {}
      : { certificate: await readSource(host, certificate), key: await readSource(host, key) }),
    ...(read === undefined || read.trim() === ""
      ? {}
      : { token: tokenOf(read, tokenFile ?? "the kubeconfig") }),
  };
}

/** What cannot stand in a request's head would be quoted by whoever refuses it. */
function tokenOf(text: string, where: string): string {
  if (isToken(text.trim())) return text.trim();
  throw unusable(`${where} holds a token with characters that no token has`);
}

async function runPlugin(
  host: CredentialHost,
  kubeconfig: Kubeconfig,
  exec: ExecPlugin,
): Promise<ExecCredential> {
  const ca = kubeconfig.ca === undefined ? undefined : await readSource(host, kubeconfig.ca);
  const env = { ...exec.env, KUBERNETES_EXEC_INFO: execInfo(kubeconfig, ca) };
  const hint = exec.installHint === undefined ? "" : `; ${exec.installHint}`;
  const failed = (why: string) => unusable(`credential plugin ${exec.command}: ${why}`);
  const result = await host.exec([exec.command, ...exec.args], { env }, AbortSignal.timeout(pluginMs)).catch(
    (error) => {
      throw failed(errorText(error) + hint);
    },
  );
  if (result.code !== 0) {
    const said = new TextDecoder().decode(result.stderr).trim().split("\n").at(-1) ?? "";
    throw failed(`exit status ${result.code}${said === "" ? "" : `: ${said.slice(0, 300)}`}${hint}`);
  }
  const credential = parseExecCredential(new TextDecoder().decode(result.stdout), exec.apiVersion);
  if ("wrong" in credential) throw failed(credential.wrong);
  return credential;
}
