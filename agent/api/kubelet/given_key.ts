/** Whether a key that somebody has put there is that of a certificate; the server would take it and break each connection. */

/** Why the certificate cannot be shown with it, of whatever kind they are. Costs the memory of Node's cryptography. */
export async function wrongKey(certificate: string, key: string): Promise<string | undefined> {
  const { createPrivateKey, X509Certificate } = await import("node:crypto");
  try {
    const fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
    return fits ? undefined : "is the key of another certificate";
  } catch {
    return "holds no private key that can be used";
  }
}
