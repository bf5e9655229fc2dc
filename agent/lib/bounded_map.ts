/** Maps that may not grow without end. Not for: values that hold for a time (remembered.ts). */

/** The newest comes last; where there are more than `most`, the one that was put longest ago makes room. */
export function putNewest<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}
