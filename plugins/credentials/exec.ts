/**
 * One question to a credential provider: the program is run, gets the request on its standard input and answers on its
 * standard output. Source: credentialprovider.kubelet.k8s.io v1. Not for: caching, or whom to ask.
 */
import { join } from "@std/path";
import { parseDuration } from "../../agent/model/duration.ts";
import { AgentError, errorText } from "../../agent/model/errors.ts";
import { type Keyring, patternOf } from "../../agent/model/pull_secrets.ts";
import type { Host } from "../../agent/ports.ts";
import type { Provider } from "./config.ts";

export interface Answer {
  keyring: Keyring;
  /** For which images the answer holds. */
  scope: "Image" | "Registry" | "Global";
  /** Milliseconds that it holds; absent: as the configuration says. */
  holdsMs?: number;
}

/** As the kubelet has it, for all of them. */
const answerMs = 60_000;
/** Of what a program said on standard error, in a message. */
const maxComplaint = 300;

const refused = (provider: Provider, message: string, cause?: unknown): AgentError =>
  new AgentError("ErrImagePull", `credential provider ${provider.name}: ${message}`, { cause });

/** Throws AgentError that says what the program did wrong, never what it answered. */
export async function askProvider(
  host: Pick<Host, "exec">,
  directory: string,
  provider: Provider,
  repository: string,
  signal: AbortSignal,
): Promise<Answer> {
  const { apiVersion, args = [], env = [] } = provider;
  const request = { kind: "CredentialProviderRequest", apiVersion, image: repository };
  const late = AbortSignal.timeout(answerMs);
  const { code, stdout, stderr } = await host.exec([join(directory, provider.name), ...args], {
    env: Object.fromEntries(env.map(({ name, value }) => [name, value])),
    stdin: new TextEncoder().encode(JSON.stringify(request)),
  }, AbortSignal.any([signal, late])).catch((error) => {
    if (!late.aborted || signal.aborted) throw refused(provider, errorText(error), error);
    throw refused(provider, `it did not answer within ${answerMs / 1000} s and was killed`);
  });
  if (code !== 0) {
    const said = new TextDecoder().decode(stderr).trim().slice(0, maxComplaint);
    throw refused(provider, `it ended with exit status ${code}${said === "" ? "" : `: ${said}`}`);
  }
  const answer = parseAnswer(new TextDecoder().decode(stdout), apiVersion);
  if (typeof answer === "string") throw refused(provider, answer);
  return answer;
}

const isRecord = (v: unknown): v is Record<string, unknown> =>
  typeof v === "object" && v !== null && !Array.isArray(v);

const fields = new Set(["kind", "apiVersion", "cacheKeyType", "cacheDuration", "auth"]);
const scopes = ["Image", "Registry", "Global"] as const;

/** The answer, or what is wrong with it; its values, which may be secret, are not in the message. */
export function parseAnswer(text: string, apiVersion: string): Answer | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "its answer is not JSON";
  }
  if (!isRecord(value) || value.kind !== "CredentialProviderResponse" || value.apiVersion !== apiVersion) {
    return `expected a CredentialProviderResponse of ${apiVersion} as its answer`;
  }
  const unknown = Object.keys(value).find((key) => !fields.has(key));
  if (unknown !== undefined) return `its answer has an unknown field ${JSON.stringify(unknown.slice(0, 60))}`;
  const { cacheKeyType, cacheDuration, auth } = value;
  const scope = scopes.find((s) => s === cacheKeyType);
  if (scope === undefined) return `expected ${scopes.join(", ")} as cacheKeyType of its answer`;
  const holdsMs = typeof cacheDuration === "string" ? parseDuration(cacheDuration) : undefined;
  if (cacheDuration !== undefined && cacheDuration !== null && (holdsMs === undefined || holdsMs < 0)) {
    return 'expected a duration such as "10m" as cacheDuration of its answer';
  }
  const keyring = parseKeyring(auth);
  if (keyring === undefined) return "expected patterns with username and password as auth of its answer";
  return { keyring, scope, ...(holdsMs !== undefined && { holdsMs }) };
}

function parseKeyring(auth: unknown): Keyring | undefined {
  if (auth === undefined || auth === null) return [];
  if (!isRecord(auth)) return undefined;
  const keyring = [];
  for (const [key, entry] of Object.entries(auth)) {
    if (!isRecord(entry)) return undefined;
    const { username = "", password = "" } = entry;
    if (typeof username !== "string" || typeof password !== "string") return undefined;
    keyring.push({ pattern: patternOf(key), auth: { username, password } });
  }
  return keyring;
}
