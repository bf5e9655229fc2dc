/** What files say about who this node is in its cluster. Not for: what follows from it (situation.ts). */
import { errorText, formatProblem } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { certificatesIn } from "../certificates/certificate.ts";
import type { CertificateFiles } from "../certificates/certificate_files.ts";
import type { Life } from "../certificates/renewal.ts";
import { readSource } from "../client/credentials.ts";
import { type Kubeconfig, parseKubeconfig } from "../client/kubeconfig.ts";
import type { IdentityFacts, ReadKubeconfig } from "./situation.ts";

type Files = Pick<Host, "readText">;

/** @param path "" is none. */
export async function readKubeconfig(host: Files, path: string): Promise<ReadKubeconfig> {
  if (path === "") return {};
  const text = await host.readText(path).catch((error) => ({ wrong: errorText(error) }));
  if (text === undefined || typeof text !== "string") return text ?? {};
  const { kubeconfig, problems } = parseKubeconfig(path, text);
  return kubeconfig === undefined ? { wrong: problems.map(formatProblem).join("; ") } : { kubeconfig };
}

export async function readIdentityFacts(
  host: Files,
  files: CertificateFiles,
  o: Pick<IdentityFacts, "nodeName" | "paths" | "rotates">,
): Promise<IdentityFacts> {
  const [kubeconfig, bootstrap, { pair }] = await Promise.all([
    readKubeconfig(host, o.paths.kubeconfig),
    readKubeconfig(host, o.paths.bootstrap),
    files.current(),
  ]);
  const { notBefore, notAfter, subject } = pair?.certificate ?? {};
  const facts: IdentityFacts = {
    ...o,
    kubeconfig,
    bootstrap,
    ...(subject !== undefined && {
      own: { notBefore: notBefore!, notAfter: notAfter!, commonName: subject.commonName },
    }),
  };
  const named = await namedLife(host, kubeconfig.kubeconfig);
  if (named === undefined) return facts;
  if (!("wrong" in named)) return { ...facts, named };
  return facts.own === undefined ? { ...facts, kubeconfig: named } : facts;
}

/** Of the certificate that a kubeconfig names, if it names one. */
async function namedLife(
  host: Files,
  kubeconfig: Kubeconfig | undefined,
): Promise<Life | { wrong: string } | undefined> {
  if (kubeconfig?.certificate === undefined) return undefined;
  try {
    const [certificate] = certificatesIn(await readSource(host, kubeconfig.certificate));
    if (certificate === undefined) return { wrong: "its client certificate is none" };
    return { notBefore: certificate.notBefore, notAfter: certificate.notAfter };
  } catch (error) {
    return { wrong: `its client certificate cannot be read: ${errorText(error)}` };
  }
}
