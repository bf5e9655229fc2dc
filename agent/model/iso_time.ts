/** Instants as Kubernetes writes them: metav1.Time, RFC 3339 in UTC with whole seconds. Not for: MicroTime, or reading. */

/** @param ms since the epoch */
export const isoTime = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
