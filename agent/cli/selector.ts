/** Label selectors as kubectl takes them. Source: apimachinery pkg/labels. Pure. Not for: fields. */
import { UsageError } from "./command.ts";

export type Selector = (labels: Readonly<Record<string, string>>) => boolean;

const requirement =
  /^\s*(?:(!)\s*)?([A-Za-z0-9][\w./-]*)\s*(?:(==?|!=)\s*([\w.-]*)|\s(in|notin)\s*\(([^()]*)\))?\s*$/;

/** `app=web,tier!=db,env in (a,b),x,!y`; none fits all. Throws UsageError. */
export function parseSelector(text: string | undefined): Selector {
  if (text === undefined) return () => true;
  // Commas between parentheses part values, not requirements.
  const parts = text.split(/,(?![^(]*\))/);
  const all = parts.map((part): Selector => {
    const [found, not, key = "", operator, value = "", set, values = ""] = requirement.exec(part) ?? [];
    if (found === undefined || (not !== undefined && (operator ?? set) !== undefined)) {
      throw new UsageError(
        `--selector: expected KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY or !KEY, found "${part}"`,
      );
    }
    const words = values.split(",").map((word) => word.trim());
    if (operator !== undefined) return (labels) => (labels[key] === value) !== (operator === "!=");
    if (set === "in") return (labels) => key in labels && words.includes(labels[key]!);
    if (set === "notin") return (labels) => !(key in labels) || !words.includes(labels[key]!);
    return (labels) => Object.hasOwn(labels, key) === (not === undefined);
  });
  return (labels) => all.every((fits) => fits(labels));
}

export const selectorFlag = {
  name: "selector",
  short: "l",
  kind: "text",
  placeholder: "LABELS",
  summary: "only those with these labels: app=web,tier!=db",
} as const;
