/**
 * Which files of the manifest directory must change so that objects are described as wished, or no more. Documents are
 * the unit: one is replaced or dropped and its neighbours in the file keep their text, comments included. Pure.
 */
import { splitDocuments } from "../model/yaml.ts";
import { kindFields, type ManifestObjects, objectKey } from "../model/objects.ts";

/** `Pod default/web` -> the object as JSON, to see whether anything changed. */
export type ObjectTexts = ReadonlyMap<string, string>;

export interface ManifestDocument {
  text: string;
  objects: ObjectTexts;
}

export interface ManifestText {
  path: string;
  documents: readonly ManifestDocument[];
  /** Why the file may not be written, if so. */
  locked?: string;
}

export type Verb = "created" | "configured" | "unchanged" | "deleted";

export interface Outcome {
  /** `Pod default/web`. */
  key: string;
  verb: Verb;
  path: string;
}

export interface FileChange {
  path: string;
  /** Absent: the file is removed. */
  text?: string;
}

export interface ManifestPlan {
  changes: FileChange[];
  outcomes: Outcome[];
  /** Why something cannot be done; then nothing should be. */
  refusals: string[];
}

/** The objects of what the parser read. */
export function objectTexts(manifest: ManifestObjects): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [kind, field] of kindFields) {
    for (const object of manifest[field]) {
      texts.set(`${kind} ${objectKey(kind, object.metadata)}`, JSON.stringify(object));
    }
  }
  return texts;
}

/** Texts of the documents of a file. */
export const documentTexts = (text: string): string[] =>
  splitDocuments(text).map((document) => document.text);

/** Documents back into one text, each after its own marker. */
export function joinDocuments(texts: readonly string[]): string {
  return texts.map((text, i) => {
    const ended = text === "" || text.endsWith("\n") ? text : text + "\n";
    return i === 0 || ended === "" || /^---(\s|$)/.test(ended) ? ended : "---\n" + ended;
  }).join("");
}

/** Files in the making: paths with the documents that are left or new. */
type Draft = Map<string, (ManifestDocument | undefined)[]>;

const draftOf = (files: readonly ManifestText[]): Draft =>
  new Map(files.map((file) => [file.path, [...file.documents]]));

interface Home {
  path: string;
  index: number;
  document: ManifestDocument;
}

function homesOf(keys: ReadonlySet<string>, draft: Draft): Home[] {
  return [...draft].flatMap(([path, documents]) =>
    documents.flatMap((document, index) =>
      document !== undefined && [...document.objects.keys()].some((key) => keys.has(key))
        ? [{ path, index, document }]
        : []
    )
  );
}

/** Others that share the document: they would go with it. */
const others = (document: ManifestDocument, keys: ReadonlySet<string>): string[] =>
  [...document.objects.keys()].filter((key) => !keys.has(key));

function whyNot(homes: readonly Home[], keys: ReadonlySet<string>, files: readonly ManifestText[]): string[] {
  return homes.flatMap(({ path, document }) => {
    const locked = files.find((file) => file.path === path)?.locked;
    if (locked !== undefined) return [`${path} ${locked}`];
    const beside = others(document, keys);
    if (beside.length === 0) return [];
    return [
      `${[...keys].join(", ")}: one document of ${path} also describes ${beside.join(", ")}; edit that file`,
    ];
  });
}

/** Texts of the files whose documents differ from before. */
function changesOf(files: readonly ManifestText[], draft: Draft): FileChange[] {
  const before = new Map(files.map((file) => [file.path, file.documents]));
  return [...draft].flatMap(([path, documents]): FileChange[] => {
    const known = before.get(path);
    if (known !== undefined && known.every((document, i) => document === documents[i])) return [];
    const left = documents.filter((document) => document !== undefined);
    if (left.every((document) => document.objects.size === 0)) return [{ path }];
    return [{ path, text: joinDocuments(left.map((document) => document.text)) }];
  });
}

function newPath(directory: string, key: string, draft: Draft, taken: ReadonlySet<string>): string {
  const name = key.toLowerCase().replace(/[ /]/g, "-");
  for (let n = 1;; n++) {
    const path = `${directory}/${name}${n === 1 ? "" : `-${n}`}.yaml`;
    if (!draft.has(path) && !taken.has(path)) return path;
  }
}

/** `taken`: paths in the directory that are no manifests with objects, yet must not be overwritten. */
export function planApply(
  directory: string,
  files: readonly ManifestText[],
  inputs: readonly ManifestDocument[],
  taken: ReadonlySet<string> = new Set(),
): ManifestPlan {
  const plan: ManifestPlan = { changes: [], outcomes: [], refusals: [] };
  const draft = draftOf(files);
  for (const input of inputs) {
    const keys = new Set(input.objects.keys());
    if (keys.size === 0) continue;
    const homes = homesOf(keys, draft);
    const known = new Map(homes.flatMap((home) => [...home.document.objects]));
    const verb = (key: string): Verb =>
      !known.has(key) ? "created" : known.get(key) === input.objects.get(key) ? "unchanged" : "configured";
    const path = homes[0]?.path ?? newPath(directory, [...keys][0]!, draft, taken);
    plan.outcomes.push(...[...keys].map((key) => ({ key, verb: verb(key), path })));
    if ([...keys].every((key) => verb(key) === "unchanged")) continue;
    plan.refusals.push(...whyNot(homes, keys, files));
    for (const home of homes.slice(1)) draft.get(home.path)![home.index] = undefined;
    if (homes[0] === undefined) draft.set(path, [input]);
    else draft.get(path)![homes[0].index] = input;
  }
  plan.changes = changesOf(files, draft);
  return plan;
}

/** `elsewhere`: by key, who else describes it, and what to do then. */
export function planDelete(
  files: readonly ManifestText[],
  keys: readonly string[],
  elsewhere: ReadonlyMap<string, string> = new Map(),
): ManifestPlan {
  const plan: ManifestPlan = { changes: [], outcomes: [], refusals: [] };
  const draft = draftOf(files);
  const wanted = new Set(keys);
  for (const key of wanted) {
    const homes = homesOf(new Set([key]), draft);
    if (homes.length === 0 && !plan.outcomes.some((outcome) => outcome.key === key)) {
      plan.refusals.push(elsewhere.get(key) ?? `${key} is described by no file of the manifest directory`);
    }
    plan.refusals.push(...whyNot(homes, wanted, files));
    for (const home of homes) {
      draft.get(home.path)![home.index] = undefined;
      // What shares the document is deleted with it: it is in `wanted`, or there is a refusal.
      for (const other of home.document.objects.keys()) {
        plan.outcomes.push({ key: other, verb: "deleted", path: home.path });
      }
    }
  }
  plan.changes = changesOf(files, draft);
  return plan;
}
