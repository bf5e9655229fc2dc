/**
 * Passwords for registries that the node itself has: programs that know some (image credential providers), and its
 * docker configuration. What a file says now counts, from the next pull on. Not for: the secrets of pods.
 */
import { join } from "@std/path";
import { errorText, type Problem } from "../../agent/model/errors.ts";
import type { PlacedProblem } from "../../agent/model/finding.ts";
import type { Keyring } from "../../agent/model/pull_secrets.ts";
import type { Host, NodeCredentials } from "../../agent/ports.ts";
import { parseProviders, type Provider } from "./config.ts";
import { dockerConfigPaths, readDockerConfig } from "./docker_config.ts";
export { parseProviders } from "./config.ts";
import { askProvider } from "./exec.ts";
import { type AskedProvider, rememberAnswers } from "./provider.ts";

export interface CredentialOptions {
  host: Host;
  rootDir: string;
  /** Of the user the agent runs as; undefined: a private instance, which looks at its root directory alone. */
  home: string | undefined;
  /** A file, or a directory of *.json, *.yaml and *.yml; "" is no provider. */
  providerConfig: string;
  /** Where the providers' programs lie. */
  providerBinDir: string;
  /** Finds the lines of problems. */
  locate(text: string, problems: readonly PlacedProblem[]): Promise<Problem[]>;
  /** Told all problems of the files, each time they are read. */
  report(problems: readonly Problem[]): void;
}

export interface CredentialFiles extends NodeCredentials {
  /** Reads the files and tells their problems. Never throws. */
  check(): Promise<void>;
}

/** Programs that still run when `leave` aborts are killed. */
export function createNodeCredentials(o: CredentialOptions, leave: AbortSignal): CredentialFiles {
  const { host } = o;
  let text = "";
  let providers: AskedProvider[] = [];
  let problems: readonly Problem[] = [];

  const ask = (definition: Provider) => {
    const known = providers.find((p) => JSON.stringify(p.definition) === JSON.stringify(definition));
    return known ?? rememberAnswers(
      definition,
      (repository) => askProvider(host, o.providerBinDir, definition, repository, leave),
      host.monotonic,
    );
  };
  const readProviders = async (): Promise<void> => {
    const read = await readFiles(host, o.providerConfig);
    const now = JSON.stringify(read);
    if (now === text) return;
    text = now;
    const parsed = parseProviders(read.files);
    const located = await Promise.all(
      read.files.map((f) => o.locate(f.text, parsed.problems.filter((p) => p.file === f.path))),
    );
    problems = [...read.problems, ...located.flat()];
    // A file that broke takes no provider away that runs.
    const broken = problems.some((p) => p.severity === "error");
    const kept = broken ? providers.map((p) => p.definition) : [];
    const names = new Set(parsed.providers.map((p) => p.name));
    providers = [...parsed.providers, ...kept.filter((p) => !names.has(p.name))].map(ask);
  };
  const read = async (): Promise<Keyring> => {
    const docker = await readDockerConfig(host, dockerConfigPaths(o.rootDir, o.home));
    if (o.providerConfig !== "") await readProviders();
    const missing = await missingPrograms(host, o.providerBinDir, o.providerConfig, providers);
    o.report([...docker.problems, ...problems, ...missing]);
    return docker.keyring;
  };

  return {
    check: async () => void await read(),
    async keyrings(repository, signal) {
      const docker = await read();
      const failures: string[] = [];
      const asked = await Promise.all(
        providers.map((provider) =>
          provider.keyring(repository, signal).catch((error): Keyring => {
            signal.throwIfAborted();
            failures.push(errorText(error));
            return [];
          })
        ),
      );
      return { keyrings: [docker, asked.flat()], failures };
    },
  };
}

interface ReadFiles {
  files: { path: string; text: string }[];
  problems: Problem[];
}

async function readFiles(host: Host, path: string): Promise<ReadFiles> {
  const files: ReadFiles["files"] = [];
  const problems: Problem[] = [];
  const wrong = (file: string, message: string) => problems.push({ severity: "error", file, message });
  try {
    const directory = (await host.stat(path))?.kind === "directory";
    const names = directory ? await host.list(path) ?? [] : [""];
    const paths = directory
      ? names.filter((n) => /\.(json|ya?ml)$/.test(n)).map((n) => join(path, n))
      : [path];
    if (paths.length === 0) wrong(path, "expected files *.json, *.yaml or *.yml in this directory");
    for (const file of paths) {
      const text = await host.readText(file);
      if (text !== undefined) files.push({ path: file, text });
      else wrong(file, "does not exist: expected a CredentialProviderConfig");
    }
  } catch (error) {
    wrong(path, `cannot be read: ${errorText(error)}`);
  }
  return { files, problems };
}

async function missingPrograms(
  host: Host,
  directory: string,
  file: string,
  providers: readonly AskedProvider[],
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const { definition: { name } } of providers) {
    const program = join(directory, name);
    const found = await host.stat(program).catch(() => undefined);
    if (found?.kind === "file" && (found.mode & 0o111) !== 0) continue;
    const message = `${program} is no program that can be run: expected that of provider ${name}`;
    problems.push({ severity: "error", file, field: "providers", message });
  }
  return problems;
}
