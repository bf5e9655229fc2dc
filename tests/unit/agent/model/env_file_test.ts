import { assertEquals } from "@std/assert";
import { envFileKey, envFileRefs, envFileValue } from "../../../../agent/model/env_file.ts";
import { type EnvFiles } from "../../../../agent/model/env_file.ts";
import { noObjects } from "../../../../agent/model/wish.ts";
import { resolveEnv } from "../../../../agent/model/env.ts";
import type { Container, EnvVar, FileKeySelector } from "../../../../agent/model/gen/v1.ts";

const found: [string, string, string | undefined][] = [
  ["KEY='value'", "KEY", "value"],
  ["OTHER='x'\n\n  # comment\n \t KEY='value' # why", "KEY", "value"],
  ["KEY='a\nb\n\nc'\nLAST='z'", "KEY", "a\nb\n\nc"],
  ["A='one\ntwo'\nKEY='v'", "KEY", "v"],
  ["KEY='$(NOT) \"expanded\" \\n # kept'", "KEY", '$(NOT) "expanded" \\n # kept'],
  ["KEY='v'\r\nB='w'\r\n", "B", "w"],
  ["KEY= 'v'", "KEY", ""],
  ["KEY=''", "KEY", ""],
  ["KEY='first'\nKEY='second'", "KEY", "first"],
  ["a b=c='v'", "a b", undefined],
  ["KEY='v'", "key", undefined],
  ["", "KEY", undefined],
  ["KEY='v'\nthis is never looked at", "KEY", "v"],
];
for (const [text, key, value] of found) {
  Deno.test(`env file ${JSON.stringify(text)}: ${key}`, () => {
    const read = envFileValue(text, key);
    if (text.startsWith("a b")) {
      assertEquals(read, {
        error: "invalid environment variable format at line 1: value must be enclosed in single quotes",
      });
    } else assertEquals(read, { value });
  });
}

const wrong: [string, string][] = [
  ["KEY", "at line 1: missing '='"],
  ["\n\n='v'", "at line 3: empty variable name"],
  [" \t='v'", "at line 1: empty variable name"],
  ["KEY ='v'", "at line 1: whitespace before '=' is not allowed"],
  ["KEY=v", "at line 1: value must be enclosed in single quotes"],
  ['KEY="v"', "at line 1: value must be enclosed in single quotes"],
  ["KEY=", "at line 1: value must be enclosed in single quotes"],
  ["A='x'\nKEY='v' w", "at line 2: unexpected content after closing quote"],
  ["KEY='a\nb'c", "at line 2: unexpected content after closing quote"],
  ["A='x'\nKEY='v\nw", "starting at line 2: unclosed single quote"],
];
for (const [text, message] of wrong) {
  Deno.test(`bad env file ${JSON.stringify(text)}`, () =>
    assertEquals(envFileValue(text, "KEY"), { error: `invalid environment variable format ${message}` }));
}

const refTo = (more: Partial<FileKeySelector> = {}): FileKeySelector => ({
  volumeName: "shared",
  path: "app.env",
  key: "KEY",
  ...more,
});
const variable = (ref: FileKeySelector, name = "V"): EnvVar => ({ name, valueFrom: { fileKeyRef: ref } });

function envOf(env: EnvVar[], files: EnvFiles | undefined): Record<string, string> | string {
  const objects = noObjects;
  const facts = { podIPs: [], hostIPs: [], nodeName: "n", allocatable: {} };
  const container: Container = { name: "c", env };
  const resolved = resolveEnv({ metadata: {}, spec: { containers: [] } }, container, objects, facts, files);
  if ("error" in resolved) return resolved.error;
  return Object.fromEntries(resolved.env.map(({ name, value }) => [name, value]));
}
const fileOf = (text: string): EnvFiles => new Map([[envFileKey(refTo()), { text }]]);

Deno.test("fileKeyRef: a variable takes its value literally, and later ones may use it", () => {
  const env = [variable(refTo()), { name: "W", value: "<$(V)>" }];
  assertEquals(envOf(env, fileOf("KEY='$(V) is not expanded'")), {
    V: "$(V) is not expanded",
    W: "<$(V) is not expanded>",
  });
});

Deno.test("fileKeyRef: optional leaves the variable out, without it the container waits and is told why", () => {
  const optional = variable(refTo({ optional: true }));
  const where = `file "app.env" of volume "shared"`;
  for (const files of [new Map(), fileOf("OTHER='x'"), fileOf("KEY=''")] as EnvFiles[]) {
    assertEquals(envOf([optional], files), {});
  }
  assertEquals(envOf([variable(refTo())], new Map()), `couldn't parse env file: there is no ${where}`);
  for (const text of ["OTHER='x'", "KEY=''"]) {
    assertEquals(
      envOf([variable(refTo())], fileOf(text)),
      `environment variable key "KEY" not found in ${where}`,
    );
  }
  for (const ref of [variable(refTo()), optional]) {
    assertEquals(
      envOf([ref], fileOf("KEY")),
      `couldn't parse env file: ${where}: invalid environment variable format at line 1: missing '='`,
    );
    const refused: EnvFiles = new Map([["shared/app.env", { error: "it is not a regular file" }]]);
    assertEquals(envOf([ref], refused), `couldn't parse env file: ${where}: it is not a regular file`);
  }
});

Deno.test("fileKeyRef: before init containers have run, nothing of the files is missed", () =>
  assertEquals(envOf([variable(refTo()), { name: "W", value: "w" }], undefined), { W: "w" }));

Deno.test("each env file is read once", () => {
  const env = [variable(refTo()), variable(refTo({ key: "B" }), "B"), variable(refTo({ path: "b" }), "C")];
  assertEquals(envFileRefs({ name: "c", env }).map(envFileKey), ["shared/app.env", "shared/b"]);
  assertEquals(envFileRefs({ name: "c" }), []);
});
