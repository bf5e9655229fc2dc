/** Real programs (shell scripts) as credential providers, and real files. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import type { Problem } from "../../../../agent/model/errors.ts";
import { locateProblems } from "../../../../agent/sources/locate.ts";
import { createNodeCredentials } from "../../../../plugins/credentials/mod.ts";
import { parseAnswer } from "../../../../plugins/credentials/exec.ts";
import { rememberAnswers } from "../../../../plugins/credentials/provider.ts";
import { until } from "../../../fakes/until.ts";

const version = "credentialprovider.kubelet.k8s.io/v1";
const signal = new AbortController().signal;

const answer = (cacheKeyType: string, more: object = {}) =>
  JSON.stringify({
    ...{ apiVersion: version, kind: "CredentialProviderResponse", cacheKeyType },
    ...{ auth: { "registry.io": { username: "me", password: "s3cr3t" } }, ...more },
  });

interface Stage {
  directory: string;
  /** Writes a program that notes that it was asked, then runs the script. */
  program(name: string, script: string): Promise<void>;
  configure(names: string[], text?: string): Promise<void>;
  names(repository: string): Promise<string[]>;
  failures(repository: string): Promise<string[]>;
  asked(): number;
  problems(): readonly Problem[];
}

async function withPrograms(run: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "credentials-" });
  const leave = new AbortController();
  let problems: readonly Problem[] = [];
  await Deno.mkdir(`${directory}/bin`);
  const credentials = createNodeCredentials({
    host: createHost(),
    rootDir: directory,
    home: undefined,
    providerConfig: `${directory}/config`,
    providerBinDir: `${directory}/bin`,
    locate: locateProblems,
    report: (all) => problems = all,
  }, leave.signal);
  await Deno.mkdir(`${directory}/config`);
  try {
    await run({
      directory,
      program: (name, script) =>
        Deno.writeTextFile(`${directory}/bin/${name}`, `#!/bin/sh\necho >>${directory}/asked\n${script}\n`, {
          mode: 0o755,
        }),
      configure: (names, text) =>
        Deno.writeTextFile(
          `${directory}/config/a.json`,
          text ?? JSON.stringify({
            ...{ apiVersion: "kubelet.config.k8s.io/v1", kind: "CredentialProviderConfig" },
            providers: names.map((name) => ({
              ...{ name, matchImages: ["registry.io"], defaultCacheDuration: "1m", apiVersion: version },
              ...{ args: ["one", "two words"], env: [{ name: "SAID", value: answer("Image") }] },
            })),
          }),
        ),
      names: async (repository) =>
        (await credentials.keyrings(repository, signal)).keyrings.flat().map(({ auth }) => auth.username),
      failures: async (repository) => (await credentials.keyrings(repository, signal)).failures,
      asked: () => {
        try {
          return Deno.readTextFileSync(`${directory}/asked`).length;
        } catch {
          return 0;
        }
      },
      problems: () => problems,
    });
  } finally {
    leave.abort();
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a provider gets the request, arguments and environment, is asked once at a time, and its answer holds", async () => {
  await withPrograms(async ({ directory, program, configure, names, asked, failures }) => {
    await program("p", `cat >${directory}/request; printf '%s|' "$@" >${directory}/args; printf %s "$SAID"`);
    await configure(["p"]);
    assertEquals(await names("elsewhere.io/x"), []);
    assertEquals(asked(), 0);
    const all = await Promise.all([1, 2, 3].map(() => names("registry.io/team/web")));
    assertEquals([all, asked()], [[["me"], ["me"], ["me"]], 1]);
    assertEquals(JSON.parse(await Deno.readTextFile(`${directory}/request`)), {
      ...{ kind: "CredentialProviderRequest", apiVersion: version, image: "registry.io/team/web" },
    });
    assertEquals(await Deno.readTextFile(`${directory}/args`), "one|two words|");
    await names("registry.io/team/web");
    assertEquals(asked(), 1);
    await names("registry.io/team/other");
    assertEquals(asked(), 2);
    assertEquals(await failures("registry.io/team/web"), []);
  });
});

Deno.test("providers that fail, talk for ever or lie are told of, hold up nobody, and nothing secret is said", async () => {
  await withPrograms(async ({ directory, program, configure, names, failures, problems }) => {
    await program("ends", "echo no such region >&2; exit 3");
    await program("lies", `echo '{"password":"s3cr3t"}'`);
    await program("talks", "exec yes s3cr3t");
    await program("well", 'printf %s "$SAID"');
    await configure(["ends", "lies", "talks", "well"]);
    // One that talks for ever would be killed after a minute: here its standard output is closed sooner.
    await program("talks", "yes s3cr3t | head -c 3000000");
    assertEquals(await names("registry.io/x"), ["me"]);
    const said = await failures("registry.io/y");
    assertEquals(said.toSorted(), [
      "credential provider ends: it ended with exit status 3: no such region",
      `credential provider lies: expected a CredentialProviderResponse of ${version} as its answer`,
      "credential provider talks: its answer is not JSON",
    ]);
    assert(!said.join().includes("s3cr3t"));
    await Deno.remove(`${directory}/bin/ends`);
    assert(
      (await failures("registry.io/z")).some((f) => f.startsWith("credential provider ends: cannot run")),
    );
    assertEquals(problems().map((p) => [p.field, p.file]), [["providers", `${directory}/config`]]);
    assertStringIncludes(problems()[0]!.message, "bin/ends is no program");
  });
});

Deno.test("a broken edit takes no provider away; docker configurations come first, broken ones are told", async () => {
  await withPrograms(async ({ directory, program, configure, names, problems, asked }) => {
    await program("p", 'printf %s "$SAID"');
    await configure(["p"]);
    assertEquals(await names("registry.io/x"), ["me"]);
    await configure([], "providers: [");
    assertEquals(await names("registry.io/x"), ["me"]);
    assertEquals(problems().map((p) => [p.file, p.line]), [[`${directory}/config/a.json`, 1]]);
    assertEquals(asked(), 1);
    await Deno.writeTextFile(`${directory}/config.json`, "{");
    await Deno.writeTextFile(`${directory}/.dockercfg`, '{"registry.io":{"auth":"' + btoa("node:pw") + '"}}');
    await configure(["p"]);
    assertEquals(await names("registry.io/x"), ["node", "me"]);
    assertEquals(problems().map((p) => p.file), [`${directory}/config.json`]);
    assertEquals(asked(), 1);
  });
});

Deno.test("answers hold for an image, a registry or all, as long as they say", async () => {
  let now = 0;
  const asked: string[] = [];
  let scope: "Image" | "Registry" | "Global" = "Registry";
  let holdsMs: number | undefined;
  const provider = rememberAnswers(
    { name: "p", matchImages: ["*.io"], defaultCacheDuration: "1m", apiVersion: version },
    (repository) => {
      asked.push(repository);
      return Promise.resolve({ keyring: [], scope, ...(holdsMs !== undefined && { holdsMs }) });
    },
    () => now,
  );
  const ask = (repository: string) => provider.keyring(repository, signal);
  for (const name of ["a.io/x", "a.io/y", "b.io/x"]) await ask(name);
  assertEquals(asked.splice(0), ["a.io/x", "b.io/x"]);
  now = 60_000;
  scope = "Global";
  holdsMs = 1000;
  for (const name of ["a.io/x", "b.io/x", "c.io/x"]) await ask(name);
  assertEquals(asked.splice(0), ["a.io/x"]);
  now += 1000;
  holdsMs = 0;
  for (const name of ["a.io/x", "a.io/x"]) await ask(name);
  assertEquals(asked.splice(0), ["a.io/x", "a.io/x"]);
});

Deno.test("who leaves early ends nothing for those who wait on", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = 0;
  const provider = rememberAnswers(
    { name: "p", matchImages: ["*.io"], defaultCacheDuration: "0s", apiVersion: version },
    async () => {
      asked++;
      await promise;
      return { keyring: [{ pattern: "a.io", auth: { username: "u", password: "p" } }], scope: "Image" };
    },
    () => 0,
  );
  const leaving = new AbortController();
  const gone = provider.keyring("a.io/x", leaving.signal).then(() => "answered", () => "left");
  const stays = provider.keyring("a.io/x", signal);
  await until("both ask", () => asked === 1);
  leaving.abort();
  assertEquals(await gone, "left");
  resolve();
  assertEquals([(await stays).length, asked], [1, 1]);
});

Deno.test("answers of providers: what is wrong is said without what stands in them", () => {
  const wrong = [
    "{",
    "[]",
    answer("Image").replace("/v1", "/v2"),
    answer("Nobody"),
    answer("Image", { cacheDuration: "soon" }),
    answer("Image", { cacheDuration: "-1s" }),
    answer("Image", { auth: { a: "s3cr3t" } }),
    answer("Image", { auth: { a: { password: 7 } } }),
    answer("Image", { extra: "s3cr3t" }),
  ].map((text) => parseAnswer(text, version));
  assert(wrong.every((w) => typeof w === "string" && !w.includes("s3cr3t")), JSON.stringify(wrong));
  assertEquals(parseAnswer(answer("Global", { cacheDuration: "1h", auth: null }), version), {
    ...{ scope: "Global", holdsMs: 3_600_000, keyring: [] },
  });
});
