/**
 * Lines and columns of problems: the parser that reads manifests gives none, so that a second one, whose nodes know
 * their places, is loaded for a text that has problems, and only then. Not for: judging.
 */
import type { Document, Node, Pair } from "yaml";
import type { Problem } from "../model/errors.ts";
import type { FieldPath, PlacedProblem } from "../model/finding.ts";
import { splitDocuments } from "../model/yaml.ts";

type Yaml = typeof import("yaml");

/** Documents above this size are not worth the time and memory. */
const sizeLimit = 1024 * 1024;

/** The problems of one file, with positions where they can be found. Never throws. */
export async function locateProblems(text: string, problems: readonly PlacedProblem[]): Promise<Problem[]> {
  if (problems.every((p) => p.line !== undefined || (p.place === undefined && p.field === undefined))) {
    return problems.map(withoutPlace);
  }
  const yaml = await import("yaml");
  const source = text.replace(/^\ufeff/, "");
  const documents = splitDocuments(source).map((d) => ({ ...d, parsed: lazy(() => parse(yaml, d.text)) }));
  return problems.map((problem) => {
    const { place } = problem;
    if (problem.line !== undefined) return withoutPlace(problem);
    const candidates = place === undefined ? documents : documents.slice(place.document, place.document + 1);
    for (const { text, startLine, parsed } of candidates) {
      const root = place === undefined ? rootOf(yaml, parsed(), problem.object) : [];
      if (root === undefined) continue;
      const path = [...root, ...(place?.path ?? parseField(problem.field ?? ""))];
      const offset = offsetOf(yaml, parsed(), path, place?.atKey ?? false);
      if (offset !== undefined) return { ...withoutPlace(problem), ...position(text, offset, startLine) };
    }
    return withoutPlace(problem);
  });
}

export function withoutPlace({ place: _dropped, ...problem }: PlacedProblem): Problem {
  return problem;
}

function lazy<T>(create: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: create() }).value;
}

function parse(yaml: Yaml, text: string): Document | undefined {
  if (text.length > sizeLimit) return undefined;
  try {
    return yaml.parseDocument(text, { strict: false, uniqueKeys: false, logLevel: "silent" });
  } catch {
    return undefined;
  }
}

function position(text: string, offset: number, startLine: number): { line: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: startLine + before.length, column: before.at(-1)!.length + 1 };
}

/** The inverse of `fieldText`. */
export function parseField(field: string): (string | number)[] {
  return [...field.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\.?([^.[\]]+)/g)].map(
    ([, index, quoted, name]) =>
      index !== undefined ? Number(index) : quoted !== undefined ? JSON.parse(quoted) as string : name!,
  );
}

/** Where the object named `Kind namespace/name` stands in this document: its root, or an item of a list. */
function rootOf(
  yaml: Yaml,
  document: Document | undefined,
  object: string | undefined,
): FieldPath | undefined {
  const is = (at: FieldPath) => {
    const value = (path: FieldPath) => document?.getIn([...at, ...path]);
    const name = `${value(["metadata", "namespace"]) ?? "default"}/${value(["metadata", "name"])}`;
    return `${value(["kind"])} ${name}` === object;
  };
  if (document === undefined || object === undefined || !yaml.isMap(document.contents)) return undefined;
  if (is([])) return [];
  const items = document.contents.get("items");
  const index = yaml.isSeq(items) ? items.items.findIndex((_, i) => is(["items", i])) : -1;
  return index === -1 ? undefined : ["items", index];
}

/** Start of the value at the path; of what is nearest to it on the way when it does not exist. */
function offsetOf(
  yaml: Yaml,
  document: Document | undefined,
  path: FieldPath,
  atKey: boolean,
): number | undefined {
  let node = resolve(yaml, document, document?.contents);
  let offset = node?.range?.[0];
  for (const [i, part] of path.entries()) {
    const child = childOf(yaml, document, node, part);
    if (child === undefined) break;
    const key = child.key?.range?.[0];
    const wantsKey = (atKey && i === path.length - 1) || (i < path.length - 1 && child.key !== undefined);
    offset = (wantsKey ? key : child.value?.range?.[0]) ?? key ?? offset;
    node = resolve(yaml, document, child.value);
  }
  return offset;
}

interface Child {
  key?: Node;
  value: Node | undefined;
}

function childOf(
  yaml: Yaml,
  document: Document | undefined,
  node: Node | undefined,
  part: string | number,
): Child | undefined {
  if (yaml.isSeq(node) && typeof part === "number") {
    const item = node.items[part];
    return item === undefined ? undefined : { value: item as Node };
  }
  if (!yaml.isMap(node)) return undefined;
  const pairs = node.items as Pair<Node, Node | null>[];
  const keyOf = (pair: Pair<Node, Node | null>) =>
    yaml.isScalar(pair.key) ? String(pair.key.value) : undefined;
  const own = pairs.find((pair) => keyOf(pair) === String(part));
  if (own !== undefined) return { key: own.key, value: own.value ?? undefined };
  const merged = resolve(yaml, document, pairs.find((pair) => keyOf(pair) === "<<")?.value);
  const sources = yaml.isSeq(merged) ? merged.items as Node[] : [merged];
  for (const source of sources) {
    const found = source === node
      ? undefined
      : childOf(yaml, document, resolve(yaml, document, source), part);
    if (found !== undefined) return found;
  }
  return undefined;
}

function resolve(yaml: Yaml, document: Document | undefined, node: unknown): Node | undefined {
  if (document !== undefined && yaml.isAlias(node)) return node.resolve(document) as Node | undefined;
  return yaml.isNode(node) ? node : undefined;
}
