/**
 * A credential provider with its memory: answers hold for an image, a registry or for all, as long as they say; who asks
 * at the same time shares one answer. Source: pkg/credentialprovider/plugin/plugin.go. Not for: the protocol (exec.ts).
 */
import { parseDuration } from "../../agent/model/duration.ts";
import { matchesImage } from "../../agent/model/image_match.ts";
import type { Keyring } from "../../agent/model/pull_secrets.ts";
import type { Provider } from "./config.ts";
import type { Answer } from "./exec.ts";

export interface AskedProvider {
  readonly definition: Provider;
  /** Empty when it is not for this image. Throws AgentError when it fails. */
  keyring(repository: string, signal: AbortSignal): Promise<Keyring>;
}

const maxAnswers = 1000;

/** `ask` is not ended when one of those who wait for it leaves. */
export function rememberAnswers(
  definition: Provider,
  ask: (repository: string) => Promise<Answer>,
  monotonic: () => number,
): AskedProvider {
  const answers = new Map<string, { keyring: Keyring; until: number }>();
  const asking = new Map<string, Promise<Keyring>>();
  const defaultMs = parseDuration(definition.defaultCacheDuration) ?? 0;

  const keyOf = (scope: Answer["scope"], repository: string): string =>
    scope === "Global" ? "" : scope === "Image" ? repository : repository.split("/")[0]!;
  const known = (repository: string): Keyring | undefined => {
    const now = monotonic();
    for (const scope of ["Image", "Registry", "Global"] as const) {
      const answer = answers.get(keyOf(scope, repository));
      if (answer !== undefined && answer.until > now) return answer.keyring;
    }
    return undefined;
  };
  const remember = (repository: string, { keyring, scope, holdsMs = defaultMs }: Answer): void => {
    if (holdsMs <= 0) return;
    const now = monotonic();
    for (const [key, { until }] of answers) {
      if (until <= now || answers.size >= maxAnswers) answers.delete(key);
    }
    answers.set(keyOf(scope, repository), { keyring, until: now + holdsMs });
  };
  const askOnce = (repository: string): Promise<Keyring> => {
    const running = asking.get(repository);
    if (running !== undefined) return running;
    const question = ask(repository).then((answer) => {
      remember(repository, answer);
      return answer.keyring;
    }).finally(() => asking.delete(repository));
    asking.set(repository, question);
    return question;
  };

  return {
    definition,
    async keyring(repository, signal) {
      if (!definition.matchImages.some((pattern) => matchesImage(pattern, repository))) return [];
      return known(repository) ?? await unlessAborted(askOnce(repository), signal);
    },
  };
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return await Promise.race([work, promise]).finally(() => signal.removeEventListener("abort", abort));
}
