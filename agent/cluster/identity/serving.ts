/**
 * Keeps the certificate by which the kubelet's API shows itself, signed by the cluster: asked for, waited for, renewed in
 * time. Source: the kubelet's pkg/kubelet/certificate. Not for: the client certificate (identity/).
 */
import type { Listeners } from "../../lib/listeners.ts";
import { pause } from "../../lib/pause.ts";
import type { AltNames, Certificate } from "../certificates/certificate.ts";
import { renewalOf } from "../certificates/renewal.ts";
import type { Api } from "../client/api.ts";
import { pauseBefore } from "../client/retry.ts";
import { askForCertificate, type Asking, whyRefused } from "./asking.ts";

export interface ServingOptions extends Omit<Asking, "use" | "patience" | "progress"> {
  api: Api;
  /** Under which the node is reached. */
  names(): AltNames;
  /** Told when they are others. */
  renamed: Listeners<void>;
  /** PEM, certificate and key in one: another one than before. */
  changed(pair: string): void;
  /** Why there is none yet, or none for much longer, and what to do; undefined when that is over. */
  troubled(why: { message: string; remedy: string } | undefined): void;
}

/** The API server forgets requests that nobody has answered in a day. */
const patience = 23 * 3_600_000;
const backOff = { first: 5_000, most: 5 * 60_000 };

const approval =
  "an administrator runs `kubectl certificate approve NAME`, or an approver in the cluster does; until then the API shows " +
  "a certificate of the node's own";

/** Until the signal. */
export async function keepServingCertificate(o: ServingOptions, signal: AbortSignal): Promise<void> {
  let shown: string | undefined;
  let drawn: { of: number; random: number } | undefined;
  let wake = () => {};
  o.renamed.subscribe(() => wake(), signal);
  for (let attempt = 0; !signal.aborted;) {
    const woken = new AbortController();
    wake = () => woken.abort();
    const { pair } = await o.files.current();
    const good = pair !== undefined && covers(pair.certificate, o.names());
    if (drawn?.of !== pair?.certificate.notAfter) {
      drawn = { of: pair?.certificate.notAfter ?? 0, random: Math.random() };
    }
    const renewal = pair === undefined ? undefined : renewalOf(pair.certificate, o.host.now(), drawn!.random);
    // One for other names serves better than none.
    if (pair !== undefined && renewal?.state !== "expired" && pair.text !== shown) {
      shown = pair.text;
      o.changed(pair.text);
    }
    if (good && renewal !== undefined && "ms" in renewal) {
      await pause(renewal.ms, AbortSignal.any([signal, woken.signal]));
      continue;
    }
    try {
      const use = { kind: "serving", ...o.names() } as const;
      const progress = (line: string) => o.troubled({ message: line, remedy: approval });
      await askForCertificate(
        { ...o, use, patience, progress },
        o.api,
        AbortSignal.any([signal, woken.signal]),
      );
      attempt = 0;
      o.troubled(undefined);
    } catch (error) {
      if (signal.aborted) return;
      // The node has other names or addresses now: nobody should approve the old ones.
      if (woken.signal.aborted) continue;
      o.troubled(whyRefused(error, pair !== undefined).failure);
      await pause(pauseBefore(attempt++, backOff, Math.random()), signal);
    }
  }
}

const covers = (certificate: Certificate, { dnsNames, ipAddresses }: AltNames): boolean =>
  dnsNames.every((name) => certificate.dnsNames.includes(name)) &&
  ipAddresses.every((address) => certificate.ipAddresses.includes(address));
