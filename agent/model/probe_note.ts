/**
 * What probes have said of the running containers of a pod, as the text that outlives the agent: the world cannot tell
 * it. Pure. Not for: keeping it (reconcile/verdict_note.ts).
 */
import type { Container } from "./gen/v1.ts";

/** Of one container, by its id: a container that is not in the note has neither started nor been ready. */
export interface Said {
  started: boolean;
  ready: boolean;
}

/** Only of these containers is there anything to say that is not true from the start. */
export const isGated = (c: Container): boolean =>
  c.startupProbe !== undefined || c.readinessProbe !== undefined;

export const formatSaid = (said: ReadonlyMap<string, Said>): string =>
  JSON.stringify(Object.fromEntries(
    [...said].filter(([, s]) => s.started || s.ready).map((
      [id, { started, ready }],
    ) => [id, { started, ready }]),
  ));

/** `undefined` for no note, or one that is damaged. */
export function parseSaid(text: string | undefined): ReadonlyMap<string, Said> | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "null");
    if (typeof value !== "object" || value === null) return undefined;
    return new Map(
      Object.entries(value).map(([id, s]) => [
        id,
        { started: s?.started === true, ready: s?.ready === true },
      ]),
    );
  } catch {
    return undefined;
  }
}
