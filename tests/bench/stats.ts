/** Numbers from samples. Pure. */

/** The nearest-rank percentile; NaN without samples. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * p / 100) - 1)] ?? NaN;
}

export interface Summary {
  p50: number;
  p90: number;
  samples: number;
}

export const summarize = (samples: readonly number[]): Summary => ({
  p50: percentile(samples, 50),
  p90: percentile(samples, 90),
  samples: samples.length,
});
