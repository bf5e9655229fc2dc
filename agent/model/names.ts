/** Names and addresses as the API allows them; each check says what it expected, or nothing. Not for: whole objects. */

/** What was expected, or `undefined` when the value is fine. */
export type Check = (value: string) => string | undefined;

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** RFC 1123 label. */
export const dnsLabel: Check = (v) =>
  v.length <= 63 && label.test(v)
    ? undefined
    : "at most 63 lowercase letters, digits and '-', starting and ending with a letter or digit";

/** RFC 1123 subdomain. */
export const dnsSubdomain: Check = (v) =>
  v.length <= 253 && subdomain.test(v)
    ? undefined
    : "at most 253 lowercase letters, digits, '-' and '.', starting and ending with a letter or digit";

/** Of a CSI driver; upper case is allowed. */
export const driverName: Check = (name) =>
  name.length <= 63 && dnsSubdomain(name.toLowerCase()) === undefined
    ? undefined
    : "at most 63 letters, digits, '-' and '.', starting and ending with a letter or digit";

/** IANA service name (RFC 6335). */
export const portName: Check = (v) =>
  /^[a-z0-9-]{1,15}$/.test(v) && /[a-z]/.test(v) && !/^-|-$|--/.test(v)
    ? undefined
    : "at most 15 lowercase letters, digits and single '-', at least one letter";

export const headerName: Check = (v) => /^[A-Za-z0-9-]+$/.test(v) ? undefined : "letters, digits and '-'";

/** `[prefix/]name` of a label or annotation. */
export const qualifiedName: Check = (v) => {
  const parts = v.split("/");
  const name = parts.at(-1)!;
  const fine = parts.length <= 2 && /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(name) &&
    (parts.length === 1 || dnsSubdomain(parts[0]!) === undefined);
  return fine
    ? undefined
    : "[PREFIX/]NAME with at most 63 letters, digits, '-', '_' and '.' in NAME and a DNS name as PREFIX";
};

export const labelValue: Check = (v) =>
  v === "" || /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(v)
    ? undefined
    : "at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit";

/** Key of a ConfigMap or Secret, which also becomes a file's name. */
export const objectKey: Check = (v) =>
  v.length <= 253 && /^[-._a-zA-Z0-9]+$/.test(v) && v !== "." && !v.startsWith("..")
    ? undefined
    : "at most 253 letters, digits, '-', '_' and '.', not beginning with '..'";

export const envName: Check = (v) =>
  v !== "" && /^[ -<>-~]+$/.test(v) ? undefined : "printable ASCII characters without '='";

/** A path below a volume's root. */
export const relativePath: Check = (v) =>
  v !== "" && !v.startsWith("/") && !v.split("/").includes("..") ? undefined : "a relative path without '..'";

/** A file that the pod's own volumes may hold: names that begin with `..` are those of atomic updates. */
export const fileInVolume: Check = (v) =>
  relativePath(v) === undefined && !v.startsWith("..")
    ? undefined
    : "a relative path that neither holds nor begins with '..'";

export const ipAddress: Check = (v) => isIPv4(v) || isIPv6(v) ? undefined : "an IP address";

const isIPv4 = (v: string) =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(v) &&
  v.split(".").every((part) => Number(part) <= 255 && !/^0\d/.test(part));

function isIPv6(v: string): boolean {
  if (v.length > 45 || !/^[0-9a-fA-F:.]+$/.test(v) || v.includes(":::")) return false;
  const halves = v.split("::");
  if (halves.length > 2) return false;
  const parts = halves.flatMap((half) => half === "" ? [] : half.split(":"));
  const last = parts.at(-1);
  const mapped = last?.includes(".") ?? false;
  const groups = (mapped ? parts.slice(0, -1) : parts).every((part) => /^[0-9a-fA-F]{1,4}$/.test(part));
  const count = parts.length + (mapped ? 1 : 0);
  return groups && (!mapped || isIPv4(last!)) && (halves.length === 2 ? count <= 7 : count === 8);
}
