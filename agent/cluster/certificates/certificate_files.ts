/**
 * Keys and certificates where the kubelet has them: `kubelet-client-current.pem`, a link to a dated file that holds both,
 * and the key of a request that is not answered yet. Source: client-go's util/certificate/certificate_store.go. Not for:
 * getting certificates (signing.ts).
 */
import { join } from "@std/path";
import { errorText } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { type Certificate, certificatesIn } from "./certificate.ts";
import { generateKey, importKeyPair, privateKeyPem, publicKeyOf } from "./issue.ts";
import { pemBlocks, toBase64 } from "./pem.ts";

export type CertificateHost = Pick<
  Host,
  "readText" | "writeFileAtomic" | "symlink" | "rename" | "remove" | "list" | "readlink" | "mkdir" | "now"
>;

export interface Pair {
  certificate: Certificate;
  /** PEM: chain and key, as the file has them. */
  text: string;
}

export interface CertificateFiles {
  /** What others are told to read. */
  path: string;
  /** `undefined` when there is none that can be used, then with why if there is one. */
  current(): Promise<{ pair?: Pair; wrong?: string }>;
  /** Replaces what is current at once; the one before is kept, older ones go. */
  store(chain: string, keys: CryptoKeyPair): Promise<void>;
  /** The key of the request under way; a new one when there is none. */
  pendingKey(): Promise<CryptoKeyPair>;
  dropPendingKey(): Promise<void>;
}

/** @param name `kubelet-client` or `kubelet-server`. */
export function createCertificateFiles(
  host: CertificateHost,
  directory: string,
  name: string,
): CertificateFiles {
  const path = join(directory, `${name}-current.pem`);
  const pending = join(directory, `${name}.key.tmp`);
  const dated = new RegExp(`^${name}-\\d{4}-\\d\\d-\\d\\d-\\d\\d-\\d\\d-\\d\\d(-\\d+)?\\.pem$`);

  async function freeName(): Promise<string> {
    const base = `${name}-${new Date(host.now()).toISOString().slice(0, 19).replace(/[T:]/g, "-")}`;
    const taken = await host.list(directory) ?? [];
    for (let i = 0;; i++) {
      const file = i === 0 ? `${base}.pem` : `${base}-${i}.pem`;
      if (!taken.includes(file)) return file;
    }
  }

  async function clear(keep: readonly (string | undefined)[]): Promise<void> {
    for (const file of await host.list(directory) ?? []) {
      if (dated.test(file) && !keep.includes(file)) await host.remove(join(directory, file));
    }
  }

  return {
    path,
    async current() {
      const text = await host.readText(path).catch((error) => ({ wrong: errorText(error) }));
      return typeof text === "string" ? await readPair(path, text) : text ?? {};
    },
    async store(chain, keys) {
      await host.mkdir(directory, 0o700);
      const before = (await host.readlink(path))?.split("/").at(-1);
      const file = await freeName();
      await host.writeFileAtomic(
        join(directory, file),
        chain.trimEnd() + "\n" + await privateKeyPem(keys.privateKey),
        0o600,
      );
      // A link cannot be changed in place: another one takes its name.
      const link = join(directory, `${name}-updated.pem`);
      await host.remove(link);
      await host.symlink(join(directory, file), link);
      await host.rename(link, path);
      await host.remove(pending);
      await clear([before, file]);
    },
    async pendingKey() {
      const block = pemBlocks(await host.readText(pending) ?? "").find((b) => b.label === "PRIVATE KEY");
      const known = block === undefined
        ? undefined
        : await importKeyPair(block.content).catch(() => undefined);
      if (known !== undefined) return known;
      const keys = await generateKey();
      await host.mkdir(directory, 0o700);
      await host.writeFileAtomic(pending, await privateKeyPem(keys.privateKey), 0o600);
      return keys;
    },
    dropPendingKey: () => host.remove(pending),
  };
}

/** Keys of other kinds than ours are taken as they are: TLS says whether they fit. */
async function readPair(path: string, text: string): Promise<{ pair?: Pair; wrong?: string }> {
  try {
    const [certificate] = certificatesIn(text);
    const key = pemBlocks(text).find((block) => block.label.endsWith("PRIVATE KEY"));
    if (certificate === undefined || key === undefined) {
      return { wrong: `${path} does not hold a certificate and its key` };
    }
    const keys = key.label === "PRIVATE KEY"
      ? await importKeyPair(key.content).catch(() => undefined)
      : undefined;
    if (keys !== undefined && toBase64(await publicKeyOf(keys)) !== toBase64(certificate.publicKey)) {
      return { wrong: `${path} holds a certificate and the key of another one` };
    }
    return { pair: { certificate, text } };
  } catch {
    return { wrong: `${path} holds something that is no certificate` };
  }
}
