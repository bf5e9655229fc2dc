/**
 * Whether a cluster-info, which anybody could have answered with, comes from who knows the token, and names the CA that was
 * pinned. Pure but for the digests. Sources: kubeadm's discovery phase; RFC 7515 appendix F (detached content). Not for:
 * fetching it (discovery.ts).
 */
import { type Certificate, certificatesIn, pinOf } from "../certificates/certificate.ts";
import { wrongAuthorities } from "../certificates/given.ts";
import { JoinFailure, newToken } from "./join_failure.ts";
import { type Kubeconfig, parseKubeconfig } from "../client/kubeconfig.ts";
import { fromBase64, pem } from "../certificates/pem.ts";

export interface BootstrapToken {
  id: string;
  secret: string;
}

/** `abcdef.0123456789abcdef`; `undefined` for anything else. */
export function parseBootstrapToken(text: string): BootstrapToken | undefined {
  const match = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(text);
  return match === null ? undefined : { id: match[1]!, secret: match[2]! };
}

/** `sha256:` and 64 hexadecimal digits. */
export const isPin = (text: string): boolean => /^sha256:[0-9a-fA-F]{64}$/.test(text);

export interface ClusterInfo {
  /** `https://…` */
  server: string;
  /** PEM */
  ca: string;
  /** The kubeconfig's text, which is what was signed. */
  text: string;
}

/**
 * @param answer a ConfigMap, as far as anybody knows.
 * @param pins the CA must have one of them; empty: any CA that the token's owner names.
 * @throws {JoinFailure}
 */
export async function verifyClusterInfo(
  answer: unknown,
  token: BootstrapToken,
  pins: readonly string[],
): Promise<ClusterInfo> {
  const data = (answer as { data?: Record<string, unknown> } | null)?.data ?? {};
  const text = data.kubeconfig;
  if (typeof text !== "string") {
    throw new JoinFailure(
      "ConfigMap kube-public/cluster-info holds no kubeconfig",
      "give discovery by file (--discovery-file) instead",
    );
  }
  const signature = data[`jws-kubeconfig-${token.id}`];
  if (typeof signature !== "string") {
    throw new JoinFailure(
      `the cluster does not know the token ${token.id}: it has expired, or is of another cluster`,
      newToken,
      { retry: true }, // the controller that signs may be on its way
    );
  }
  if (!await isSigned(text, signature, token)) {
    throw new JoinFailure(
      `cluster-info is not signed with the token ${token.id}: its secret is another one, or somebody in between answers`,
      newToken,
    );
  }
  const info = contentOf(text);
  await checkPins(certificatesIn(info.ca), pins);
  return { ...info, text };
}

/**
 * With HS256 and the token's secret alone as the key, though Kubernetes' documentation speaks of the full token; the
 * controller that signs (bootstrapsigner) and kubeadm agree on this.
 */
export async function isSigned(text: string, jws: string, { id, secret }: BootstrapToken): Promise<boolean> {
  const [head = "", content, signature = "", ...more] = jws.split(".");
  if (content !== "" || more.length > 0) return false;
  const [headBytes, signed] = [fromBase64Url(head), fromBase64Url(signature)];
  if (headBytes === undefined || signed === undefined || !isHead(headBytes, id)) return false;
  const bytes = (t: string) => new TextEncoder().encode(t);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes(secret), hmac, false, ["verify"]);
  const payload = bytes(text).toBase64({ alphabet: "base64url", omitPadding: true });
  return await crypto.subtle.verify("HMAC", key, signed, bytes(`${head}.${payload}`));
}

function isHead(bytes: Uint8Array, id: string): boolean {
  try {
    const { alg, kid } = JSON.parse(new TextDecoder().decode(bytes));
    return alg === "HS256" && kid === id;
  } catch {
    return false;
  }
}

const fromBase64Url = (text: string) => fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));

/** The cluster that a discovery kubeconfig names. @throws {JoinFailure} */
export function contentOf(
  text: string,
  file = "cluster-info",
): Omit<ClusterInfo, "text"> & { kubeconfig: Kubeconfig } {
  const { kubeconfig, problems } = parseKubeconfig(file, text);
  const ca = kubeconfig?.ca;
  const wrong = ca === undefined || !("pem" in ca)
    ? "it holds no certificate-authority-data"
    : wrongAuthorities(ca.pem);
  if (kubeconfig === undefined || ca === undefined || !("pem" in ca) || wrong !== undefined) {
    const why = problems[0]?.message ?? wrong;
    throw new JoinFailure(
      `the kubeconfig of ${file} cannot be used: ${why}`,
      "compare it with /etc/kubernetes/admin.conf of a control plane node",
    );
  }
  return { server: kubeconfig.server, ca: ca.pem, kubeconfig };
}

/**
 * Of the CA what was pinned, as PEM; all of it where nothing was. Who knows the token may sign a cluster-info that names an
 * authority of its own beside the pinned one.
 */
export async function pinned(ca: string, pins: readonly string[]): Promise<string> {
  if (pins.length === 0) return ca;
  const wanted = pins.map((pin) => pin.toLowerCase());
  const found = await Promise.all(
    certificatesIn(ca).map(async (c) => wanted.includes(await pinOf(c)) ? pem("CERTIFICATE", c.whole) : ""),
  );
  return found.join("");
}

async function checkPins(authorities: readonly Certificate[], pins: readonly string[]): Promise<void> {
  const found = await Promise.all(authorities.map(pinOf));
  const wanted = pins.map((pin) => pin.toLowerCase());
  if (found.length > 0 && (pins.length === 0 || found.some((pin) => wanted.includes(pin)))) return;
  throw new JoinFailure(
    `the cluster's CA has ${found.join(", ") || "no key"}, not ${
      pins.join(" or ")
    }: this is another cluster, or somebody in between answers`,
    newToken,
  );
}
