/**
 * Certificate signing requests: what the signers for nodes demand, when they are approved by themselves, and the signature.
 * Source: Kubernetes' certificates API, pkg/controller/certificates, pkg/apis/certificates. Not for: making requests.
 */
import {
  type AltNames,
  readAltNames,
  readSubject,
  type Subject,
} from "../../../agent/cluster/certificates/certificate.ts";
import {
  type Bytes,
  children,
  contextTag,
  expectTag,
  readDer,
  readObjectId,
  tags,
} from "../../../agent/cluster/certificates/der.ts";
import { fromBase64, pemBlocks } from "../../../agent/cluster/certificates/pem.ts";
import type { User } from "./authenticate.ts";
import { invalid } from "./errors.ts";
import { asList, asObject, asText, type Stored, timestamp } from "./objects.ts";
import { kinds, type World } from "./world.ts";

const clientSigner = "kubernetes.io/kube-apiserver-client-kubelet";
const servingSigner = "kubernetes.io/kubelet-serving";

export interface Requested extends AltNames {
  subject: Subject;
  publicKey: Bytes;
}

/** `undefined` unless it is a request that is signed by its own key. */
export async function parseRequest(text: string): Promise<Requested | undefined> {
  const block = pemBlocks(text).find((b) => b.label === "CERTIFICATE REQUEST");
  if (block === undefined) return undefined;
  const [content, , signature] = children(readDer(block.content));
  const [, subject, publicKey, attributes] = children(expectTag(content, tags.sequence, "a request"));
  const key = expectTag(publicKey, tags.sequence, "a public key").whole;
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("spki", key, algorithm, true, ["verify"]);
  const signed = rawSignature(expectTag(signature, tags.bitString, "a signature").content.subarray(1));
  if (!await crypto.subtle.verify(algorithm, imported, signed, content!.whole)) return undefined;
  const extensions = attributes === undefined || attributes.tag !== contextTag(0, true)
    ? undefined
    : children(attributes).map(children).find(([type]) => readObjectId(type) === "1.2.840.113549.1.9.14")
      ?.[1];
  return {
    subject: readSubject(subject!),
    publicKey: key,
    ...readAltNames(extensions === undefined ? undefined : children(extensions)[0]),
  };
}

function rawSignature(encoded: Bytes): Bytes {
  const raw = new Uint8Array(64);
  children(readDer(encoded)).forEach(({ content }, i) => {
    const digits = content.length > 32 ? content.subarray(content.length - 32) : content;
    raw.set(digits, 32 * (i + 1) - digits.length);
  });
  return raw;
}

/** With who asks written into it. @throws {ApiError} 422 */
export async function newRequest(user: User, object: Stored): Promise<Stored> {
  const spec = asObject(object.spec);
  const bytes = fromBase64(asText(spec.request));
  const request = bytes === undefined
    ? undefined
    : await parseRequest(new TextDecoder().decode(bytes)).catch(() => undefined);
  const causes = [
    ...request === undefined
      ? [{
        reason: "FieldValueInvalid",
        field: "spec.request",
        message: "Invalid value: PEM block type must be CERTIFICATE REQUEST, signed by its key",
      }]
      : [],
    ...asText(spec.signerName) === ""
      ? [{ reason: "FieldValueRequired", field: "spec.signerName", message: "Required value" }]
      : [],
    ...asList(spec.usages).length === 0
      ? [{ reason: "FieldValueRequired", field: "spec.usages", message: "Required value" }]
      : [],
    ...Number(spec.expirationSeconds ?? 600) < 600
      ? [{
        reason: "FieldValueInvalid",
        field: "spec.expirationSeconds",
        message: `Invalid value: ${
          Number(spec.expirationSeconds)
        }: may not specify a duration less than 600 seconds`,
      }]
      : [],
  ];
  if (causes.length > 0) throw invalid(kinds.request, object.metadata.name, causes);
  const { status: _status, ...rest } = object;
  return {
    ...rest,
    spec: {
      ...spec,
      username: user.name,
      groups: user.groups,
      ...(user.uid === undefined ? {} : { uid: user.uid }),
    },
  } as Stored;
}

const hasCondition = (object: Stored, type: string) =>
  asList(object.status?.conditions).some((c) => asObject(c).type === type && asObject(c).status === "True");

/** Approves and signs what is due; called on each change of a request. */
export async function advanceRequest(world: World, object: Stored): Promise<void> {
  if (hasCondition(object, "Denied") || hasCondition(object, "Failed")) return;
  if (object.status?.certificate !== undefined) return;
  const request = await parseRequest(atob(asText(object.spec?.request)));
  if (request === undefined) return;
  const approved = hasCondition(object, "Approved");
  if (!approved && !approvesItself(world, object, request)) return;
  const wrong = objection(object, request);
  const now = timestamp(world.now());
  const condition = (type: string, reason: string, message: string) => ({
    type,
    status: "True",
    reason,
    message,
    lastUpdateTime: now,
    lastTransitionTime: now,
  });
  const conditions = [
    ...asList(object.status?.conditions),
    ...approved ? [] : [
      condition(
        "Approved",
        "AutoApproved",
        "Auto approving kubelet client certificate after SubjectAccessReview.",
      ),
    ],
    ...wrong === undefined ? [] : [condition("Failed", "SignerValidationFailure", wrong)],
  ];
  const signed = wrong === undefined ? { certificate: btoa(await sign(world, object, request)) } : {};
  // Somebody may have changed it meanwhile: then that change brings it here again.
  if (world.store.get(kinds.request, undefined, object.metadata.name) !== object) return;
  world.store.put(kinds.request, { ...object, status: { ...object.status, conditions, ...signed } });
}

function approvesItself({ settings }: World, { spec }: Stored, request: Requested): boolean {
  const groups = asList(spec?.groups);
  const own = spec?.username === request.subject.commonName && groups.includes("system:nodes");
  if (spec?.signerName === servingSigner) return settings.approveServing && own;
  return spec?.signerName === clientSigner && settings.approveClients &&
    (own || groups.includes("system:bootstrappers"));
}

function objection({ spec }: Stored, { subject, dnsNames, ipAddresses }: Requested): string | undefined {
  const serving = spec?.signerName === servingSigner;
  const allowed = ["digital signature", "key encipherment", serving ? "server auth" : "client auth"];
  const usages = asList(spec?.usages);
  if (!serving && spec?.signerName !== clientSigner) return "no signer of that name is here";
  if (subject.organizations.join() !== "system:nodes") return "subject organization is not system:nodes";
  if (!subject.commonName.startsWith("system:node:")) {
    return "subject common name does not begin with system:node:";
  }
  if (usages.some((u) => !allowed.includes(asText(u))) || !usages.includes(allowed[2])) {
    return `usages did not match: expected ${allowed.join(", ")}`;
  }
  const names = dnsNames.length + ipAddresses.length;
  if (!serving) return names === 0 ? undefined : "DNS and IP SANs are not allowed";
  return names > 0 ? undefined : "DNS or IP subjectAltName is required";
}

async function sign(
  { authority, settings, now }: World,
  { spec }: Stored,
  request: Requested,
): Promise<string> {
  const asked = spec?.expirationSeconds === undefined ? Infinity : Number(spec.expirationSeconds) * 1000;
  const life = Math.min(settings.certificateLife, asked);
  return await authority.sign({
    ...request,
    usages: [spec?.signerName === servingSigner ? "server" : "client"],
    notBefore: now() - Math.min(5 * 60_000, life),
    notAfter: now() + life,
  });
}
