/**
 * CredentialProviderConfig: which programs know passwords for which images. Source: kubelet.config.k8s.io/v1 (also
 * v1beta1, v1alpha1) and pkg/credentialprovider/plugin/config.go. Pure. Not for: running them.
 */
import type { TypeTable } from "../../agent/model/decode.ts";
import { type DocumentKind, parseDocuments } from "../../agent/model/documents.ts";
import { parseDuration } from "../../agent/model/duration.ts";
import type { PlacedProblem, Report } from "../../agent/model/finding.ts";
import { wrongImagePattern } from "../../agent/model/image_match.ts";

export interface Provider {
  /** Of the program in the directory of programs. */
  name: string;
  matchImages: readonly string[];
  defaultCacheDuration: string;
  /** Of requests and responses. */
  apiVersion: string;
  args?: readonly string[];
  env?: readonly { name: string; value: string }[];
  tokenAttributes?: unknown;
}

interface ProviderConfig {
  providers: Provider[];
}

const group = "kubelet.config.k8s.io";
const protocol = "credentialprovider.kubelet.k8s.io";
const versions = ["v1", "v1beta1", "v1alpha1"] as const;
const protocols = versions.map((v) => `${protocol}/${v}`);

const table: TypeTable = {
  CredentialProviderConfig: {
    apiVersion: "string",
    kind: "string",
    providers: "CredentialProvider[]!",
  },
  CredentialProvider: {
    name: "string!",
    matchImages: "string[]!",
    defaultCacheDuration: "string!",
    apiVersion: "string!",
    args: "string[]",
    env: "ExecEnvVar[]",
    tokenAttributes: "any",
  },
  ExecEnvVar: { name: "string!", value: "string!" },
};

const configKind: DocumentKind<ProviderConfig> = {
  kind: "CredentialProviderConfig",
  apiVersions: versions.map((v) => `${group}/${v}`),
  table,
  check({ providers = [] }, report) {
    if (providers.length === 0) report(["providers"], "expected at least one provider");
    for (const [i, provider] of providers.entries()) {
      if (provider === undefined) continue;
      checkProvider(provider, (path, message) => report(["providers", i, ...path], message));
    }
  },
};

function checkProvider(provider: Partial<Provider>, report: Report): void {
  const { name, matchImages, defaultCacheDuration, apiVersion, tokenAttributes } = provider;
  if (name !== undefined && (name === "" || name === "." || name === ".." || /[/\s]/.test(name))) {
    report(["name"], "expected the file name of a program, without '/' and spaces");
  }
  if (apiVersion !== undefined && !protocols.includes(apiVersion)) {
    report(["apiVersion"], `expected ${protocols.join(" or ")}, got "${apiVersion}"`);
  }
  if (matchImages?.length === 0) report(["matchImages"], "expected at least one pattern");
  for (const [i, pattern] of (matchImages ?? []).entries()) {
    const wrong = pattern === undefined ? undefined : wrongImagePattern(pattern);
    if (wrong !== undefined) report(["matchImages", i], `${JSON.stringify(pattern)}: ${wrong}`);
  }
  const duration = defaultCacheDuration === undefined ? 0 : parseDuration(defaultCacheDuration);
  if (duration === undefined || duration < 0) {
    report(["defaultCacheDuration"], 'expected a duration such as "10m", or "0s" for no cache');
  }
  if (tokenAttributes !== undefined) {
    report(["tokenAttributes"], "tokens of service accounts are signed by a control plane, and here is none");
  }
}

/** The providers of all files, in order; of two with one name the first counts. Never throws. */
export function parseProviders(
  files: readonly { path: string; text: string }[],
): { providers: Provider[]; problems: PlacedProblem[] } {
  const providers = new Map<string, Provider>();
  const problems: PlacedProblem[] = [];
  for (const { path, text } of files) {
    const parsed = parseDocuments(path, text, configKind);
    problems.push(...parsed.problems);
    for (const provider of parsed.values.flatMap((config) => config.providers)) {
      if (providers.has(provider.name)) {
        const message = `there are two providers named "${provider.name}"; the first one is used`;
        problems.push({ severity: "error", file: path, field: "providers", message });
      } else providers.set(provider.name, provider);
    }
  }
  return { providers: [...providers.values()], problems };
}
