/** What is made when it is first asked for, and then kept; a failure is not kept. Not for: what may change later. */

export function once<T>(create: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () =>
    made ??= create().catch((error) => {
      made = undefined;
      throw error;
    });
}
