/**
 * What is said of one field of the v1 Pod: proven by tests, refused with a clear problem, or waiting for a control
 * plane. Rows are by type and field (`Probe.exec`), since a type means the same wherever it stands. Not for: the rows
 * themselves (one file for each part of the API), nor whether they are true (pod_fields_test.ts).
 */

export type Row =
  & { readonly sample?: unknown }
  & (
    | {
      readonly state: "proven";
      /** `FILE: NAME` of tests; a golden story is its directory. */
      readonly by: readonly string[];
      /** How it differs from the kubelet's, or what was not seen on a real machine. */
      readonly note?: string;
    }
    /** A manifest that says it does not run, and its author is told why. */
    | { readonly state: "rejected"; readonly why: string }
    /** Has no effect without a control plane. A manifest that says it is warned about, unless there is nothing to warn of. */
    | {
      readonly state: "cluster";
      readonly why: string;
      /** Why nobody is warned. */
      readonly quiet?: string;
    }
  );

/** By type, then by field. A field whose type has rows of its own needs none. */
export type Rows = Readonly<Record<string, Readonly<Record<string, Row>>>>;

export const proven = (...by: string[]): Row => ({ state: "proven", by });

export const provenBut = (note: string, ...by: string[]): Row => ({ state: "proven", by, note });

export const rejected = (why: string, sample?: unknown): Row =>
  sample === undefined ? { state: "rejected", why } : { state: "rejected", why, sample };

export const needsCluster = (why: string, more: { sample?: unknown; quiet?: string } = {}): Row => ({
  state: "cluster",
  why,
  ...more,
});

/** A value that this field takes, where one of its type alone would be refused. */
export const withSample = (sample: unknown, row: Row): Row => ({ ...row, sample });
