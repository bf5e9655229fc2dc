import { assertEquals, assertStringIncludes } from "@std/assert";
import { formatProblem } from "../../../../agent/model/errors.ts";
import { locateProblems } from "../../../../agent/sources/locate.ts";
import { parseProviders } from "../../../../plugins/credentials/config.ts";

const head = "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n";
const provider = (name: string) =>
  `- name: ${name}\n  matchImages: ["*.registry.io"]\n  defaultCacheDuration: 1m\n` +
  "  apiVersion: credentialprovider.kubelet.k8s.io/v1\n";

async function problemsOf(text: string): Promise<string[]> {
  const { problems } = parseProviders([{ path: "/c.yaml", text }]);
  return (await locateProblems(text, problems)).map(formatProblem);
}

Deno.test("credential providers: of all versions, of several files, a name but once", () => {
  const old = (version: string, name: string) =>
    (head + provider(name)).replace("k8s.io/v1\n", `k8s.io/${version}\n`);
  const { providers, problems } = parseProviders([
    { path: "/a.yaml", text: head + provider("a") + provider("b") },
    { path: "/b.yaml", text: old("v1beta1", "c") },
    { path: "/c.yaml", text: old("v1alpha1", "a") },
  ]);
  assertEquals(providers.map((p) => p.name), ["a", "b", "c"]);
  assertEquals(problems.map(formatProblem), [
    '/c.yaml: providers: there are two providers named "a"; the first one is used',
  ]);
});

Deno.test("credential providers: what is wrong is told with line and field", async () => {
  assertEquals(await problemsOf(head + provider("a")), []);
  assertEquals(await problemsOf(head + provider("a").replace("matchImages", "matchImage")), [
    '/c.yaml:5:3: providers[0].matchImage: unknown field "matchImage"; did you mean "matchImages"?',
    "/c.yaml:4:3: providers[0].matchImages: required: expected a list of texts",
  ]);
  assertEquals(await problemsOf(head + provider("a/b") + "  tokenAttributes: { cacheType: Token }\n"), [
    "/c.yaml:4:9: providers[0].name: expected the file name of a program, without '/' and spaces",
    "/c.yaml:8:20: providers[0].tokenAttributes: tokens of service accounts are signed by a control plane, and here is none",
  ]);
  const cases: [string, string, string][] = [
    ['["*.registry.io"]', '["https://registry.io"]', "expected HOST[:PORT][/PATH]"],
    ['["*.registry.io"]', "[]", "expected at least one pattern"],
    ["1m", "-1m", "expected a duration"],
    ["1m", "60", "expected text, got the number 60"],
    ["credentialprovider.kubelet.k8s.io/v1", "v2", "expected credentialprovider.kubelet.k8s.io/v1 or"],
  ];
  for (const [from, to, message] of cases) {
    assertStringIncludes((await problemsOf(head + provider("a").replace(from, to))).join("\n"), message);
  }
  assertStringIncludes((await problemsOf(head + "[]")).join(), "not YAML");
  assertStringIncludes(
    (await problemsOf(head.replace("providers:", "providers: []")))[0]!,
    "at least one provider",
  );
  assertEquals(await problemsOf("kind: Pod"), [
    '/c.yaml:1:7: kind: expected CredentialProviderConfig, got "Pod"',
  ]);
});
