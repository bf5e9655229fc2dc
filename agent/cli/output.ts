/** Objects as -o asks for them: json, yaml, names. Pure. Not for: tables (render/). */
import { stringify } from "@std/yaml";
import type { Flag } from "./command.ts";

/** Of commands that tell one thing, in their own words unless asked otherwise. */
export const objectOutput: Flag = {
  name: "output",
  short: "o",
  kind: "text",
  placeholder: "FORMAT",
  summary: "json or yaml",
  values: ["json", "yaml"],
};

export const outputFormats = ["wide", "json", "yaml", "name"] as const;

/** Values that JSON does not carry (undefined) are left out, as kubectl does. */
export const toJson = (value: unknown): string => JSON.stringify(value, null, 4) + "\n";

/** YAML's own words stay text: `"yes"`, `"012"` are quoted by compatMode. */
export const toYaml = (value: unknown): string =>
  stringify(JSON.parse(JSON.stringify(value)), {
    lineWidth: -1,
    useAnchors: false,
    sortKeys: true,
    compatMode: true,
  });

export const asList = (items: readonly unknown[]): unknown => ({
  apiVersion: "v1",
  items,
  kind: "List",
  metadata: { resourceVersion: "" },
});

/** `pod/web`. */
export const nameOf = (kind: string, name: string): string => `${kind.toLowerCase()}/${name}`;
