/** Further networks of pods in memory: what is attached outlives whoever asked for it. Fails on request. */
import type { WantedNetwork } from "../../agent/model/networks.ts";
import type { ObservedNetwork } from "../../agent/model/observed.ts";
import type { Networks } from "../../agent/plugin_ports.ts";

export const attachedNetwork = (ifname: string, name: string, ip: string): ObservedNetwork => ({
  name,
  ifname,
  isDefault: false,
  complete: true,
  ips: [ip],
  gateways: [],
});

export interface FakeNetworks extends Networks {
  /** `attach SANDBOX IFNAME`, `detach SANDBOX`, in order. */
  calls: string[];
  /** Sandboxes with anything attached. */
  holders(): string[];
  /** The next calls throw. */
  fail(method: "attach" | "detach", ...errors: Error[]): void;
}

export function createFakeNetworks(): FakeNetworks {
  const held = new Map<string, ObservedNetwork[]>();
  const failures = { attach: [] as Error[], detach: [] as Error[] };
  const calls: string[] = [];
  const add = (sandboxId: string, { ifname, key }: WantedNetwork): ObservedNetwork => {
    calls.push(`attach ${sandboxId} ${ifname}`);
    const failure = failures.attach.shift();
    if (failure !== undefined) throw failure;
    const made = attachedNetwork(ifname, key, "10.9.0.2");
    held.set(sandboxId, [...held.get(sandboxId) ?? [], made]);
    return made;
  };
  return {
    calls,
    holders: () => [...held.keys()],
    fail: (method, ...errors) => void failures[method].push(...errors),
    attached: (sandboxId) => Promise.resolve(held.get(sandboxId) ?? []),
    // deno-lint-ignore require-await -- a failed call must reject, not throw
    async attach({ sandboxId }, wanted) {
      const has = (ifname: string) => held.get(sandboxId)?.some((n) => n.ifname === ifname) === true;
      return wanted.filter((w) => !has(w.ifname)).map((w) => add(sandboxId, w));
    },
    // deno-lint-ignore require-await -- likewise
    async detach(sandboxId) {
      calls.push(`detach ${sandboxId}`);
      const failure = failures.detach.shift();
      if (failure !== undefined) throw failure;
      held.delete(sandboxId);
    },
  };
}
