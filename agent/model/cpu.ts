/** CPU in the kernel's words: shares, quota and weight. Pure. Source: kubernetes pkg/kubelet/cm, helpers_linux.go. */
import { toMilli } from "./downward.ts";

/** How limits of CPU are enforced (KubeletConfiguration cpuCFSQuota and cpuCFSQuotaPeriod). */
export interface CpuPolicy {
  /** Without, limits of CPU have no effect. */
  enforced: boolean;
  /** Microseconds. */
  period: number;
}

export const defaultCpuPolicy: CpuPolicy = { enforced: true, period: 100_000 };

const minShares = 2;
const maxShares = 262_144;
const sharesPerCpu = 1024;
/** Microseconds; the kernel refuses less. */
const minQuota = 1000;

export const boundedShares = (shares: number): number => Math.min(maxShares, Math.max(minShares, shares));

/** cpu.shares for an amount of cores: 1024 a core, at least 2. */
export const cpuShares = (cores: number): number =>
  boundedShares(Math.floor((toMilli(cores) * sharesPerCpu) / 1000));

/** CFS quota in microseconds a period for an amount of cores, at least 1 ms; `undefined` is unlimited. */
export const cpuQuota = (cores: number, { enforced, period }: CpuPolicy): number | undefined =>
  enforced && cores > 0 ? Math.max(minQuota, Math.floor((toMilli(cores) * period) / 1000)) : undefined;

/** cgroup v2's cpu.weight (1 to 10000) for v1's shares (2 to 262144), as KEP-2254 converts them. */
export const cpuWeight = (shares: number): number =>
  Math.min(10_000, 1 + Math.floor(((Math.max(minShares, shares) - 2) * 9999) / 262_142));

/** The least shares that have this weight: cpuWeight backwards. */
export const sharesOfWeight = (weight: number): number => 2 + Math.ceil(((weight - 1) * 262_142) / 9999);
