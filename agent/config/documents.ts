/**
 * Configuration files: YAML or JSON documents of two kinds, KubeletConfiguration and our own AgentConfiguration, checked
 * against the table of keys. Every problem of a file is found at once. Not for: merging, or for what the values mean.
 */
import { parse } from "@std/yaml";
import { errorText, type Problem } from "../model/errors.ts";
import { shown } from "../model/finding.ts";
import { didYouMean } from "../model/suggest.ts";
import { type DocumentText, isEmptyDocument, splitDocuments, tabIndentedLine } from "../model/yaml.ts";
import { keyByName, keys, type KeySpec } from "./keys.ts";
import { findPosition } from "./position.ts";
import type { Place, Setting, Settings } from "./settings.ts";
import { isMapping, readValue } from "./values.ts";

export interface ConfigFile {
  path: string;
  text: string;
  /** Made for a kubelet that may be newer: keys that are not known are warned about, and refused elsewhere. */
  lenient?: boolean;
}

export const documentKinds = {
  kubelet: { apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" },
  agent: { apiVersion: "agent/v1alpha1", kind: "AgentConfiguration" },
} as const;

type Owner = KeySpec["owner"];

export function readConfigFile(file: ConfigFile): Settings {
  const found = splitDocuments(file.text).filter((d) => !isEmptyDocument(d.text)).map((d) =>
    readDocument(file, d)
  );
  return {
    settings: found.flatMap((f) => f.settings),
    problems: found.flatMap((f) => f.problems),
  };
}

/** What reading one document needs to know, and where its findings go. */
interface Reader extends Settings {
  owner: Owner;
  lenient: boolean;
  place(path: readonly string[]): Place;
}

function readDocument({ path: file, lenient = false }: ConfigFile, document: DocumentText): Settings {
  const place = (path: readonly string[]): Place => ({
    file,
    ...findPosition(document.text, path, document.startLine + 1),
  });
  const root = parseYaml(file, document);
  if ("severity" in root) return { settings: [], problems: [root] };
  const owner = ownerOf(root.value);
  if (owner === undefined) return { settings: [], problems: [wrongKind(root.value, place)] };
  const reader: Reader = { owner, lenient, place, settings: [], problems: [] };
  const { apiVersion: _, kind: __, ...fields } = root.value as Record<string, unknown>;
  readFields(reader, fields, []);
  return reader;
}

function parseYaml(file: string, document: DocumentText): { value: unknown } | Problem {
  const tab = tabIndentedLine(document.text);
  if (tab >= 0) {
    const line = document.startLine + tab + 1;
    return {
      severity: "error",
      file,
      line,
      column: 1,
      message: "a tab indents this line: YAML wants spaces",
    };
  }
  try {
    return { value: parse(document.text, { schema: "core" }) };
  } catch (error) {
    const [, message, line, column] = /^(.*?)(?: at line (\d+), column (\d+))?(?::\n|$)/s.exec(
      errorText(error),
    )!;
    const position = line === undefined
      ? {}
      : { line: document.startLine + Number(line), column: Number(column) };
    return { severity: "error", file, ...position, message: `is not YAML: ${message}` };
  }
}

function ownerOf(root: unknown): Owner | undefined {
  if (!isMapping(root)) return undefined;
  return (Object.keys(documentKinds) as Owner[]).find((o) =>
    root.apiVersion === documentKinds[o].apiVersion && root.kind === documentKinds[o].kind
  );
}

function wrongKind(root: unknown, place: Reader["place"]): Problem {
  const expected = Object.values(documentKinds).map((k) => `${k.kind} of ${k.apiVersion}`).join(" or ");
  const found = isMapping(root) ? `${shown(root.kind)} of ${shown(root.apiVersion)}` : shown(root);
  return { severity: "error", ...place(["kind"]), message: `is ${found}: expected ${expected}` };
}

function readFields(reader: Reader, fields: Record<string, unknown>, path: readonly string[]): void {
  for (const [name, raw] of Object.entries(fields)) {
    const here = [...path, name];
    const key = here.join(".");
    const spec = keyByName.get(key);
    const tell = (severity: Problem["severity"]) => (message: string) =>
      void reader.problems.push({ severity, ...reader.place(here), field: key, message });
    const wrong = tell("error");
    if (spec?.owner === reader.owner) {
      readField(reader, spec, raw, here, reader.lenient && !spec.supported ? tell("warning") : wrong);
    } else if (hasKeysBelow(key, reader.owner)) {
      if (isMapping(raw)) readFields(reader, raw, here);
      else if (raw !== null) wrong(`${shown(raw)} is not valid: expected a mapping`);
    } else if (reader.lenient) tell("warning")("is not known to this agent and has no effect");
    else wrong(unknownKey(key, reader.owner));
  }
}

function readField(
  reader: Reader,
  spec: KeySpec,
  raw: unknown,
  path: readonly string[],
  wrong: (message: string) => void,
): void {
  if (raw === null) return;
  const reading = readValue(spec, raw);
  if ("wrong" in reading) wrong(reading.wrong);
  else reader.settings.push({ spec, value: reading.value, place: reader.place(path) } satisfies Setting);
}

const hasKeysBelow = (key: string, owner: Owner): boolean =>
  keys.some((k) => k.owner === owner && k.key.startsWith(key + "."));

function unknownKey(key: string, owner: Owner): string {
  const other: Owner = owner === "kubelet" ? "agent" : "kubelet";
  if (keyByName.has(key) || hasKeysBelow(key, other)) {
    return `belongs into a document of kind ${documentKinds[other].kind}`;
  }
  const known = keys.filter((k) => k.owner === owner).map((k) => k.key);
  return `is no key of ${documentKinds[owner].kind}${didYouMean(key, known)}`;
}
