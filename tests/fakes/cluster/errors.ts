/** Refusals as the API server words them: Status objects. Source: apimachinery pkg/api/errors. Not for: when to refuse. */
import type { Resource } from "./resources.ts";

export interface Cause {
  reason: string;
  message: string;
  field?: string;
}

interface Details {
  name?: string;
  group?: string;
  kind?: string;
  causes?: Cause[];
  retryAfterSeconds?: number;
}

export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Details;
  constructor(code: number, reason: string, message: string, details: Details = {}) {
    super(message);
    [this.code, this.reason, this.details] = [code, reason, details];
  }
}

export const failure = (error: ApiError) => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message: error.message,
  reason: error.reason,
  details: error.details,
  code: error.code,
});

const qualified = (r: Resource) => r.group === "" ? r.plural : `${r.plural}.${r.group}`;
const detailsOf = (r: Resource, name: string): Details => ({
  name,
  ...(r.group === "" ? {} : { group: r.group }),
  kind: r.plural,
});

export const badRequest = (message: string) => new ApiError(400, "BadRequest", message);
export const unauthorized = () => new ApiError(401, "Unauthorized", "Unauthorized");
export const noSuchPath = () =>
  new ApiError(404, "NotFound", "the server could not find the requested resource");
export const noMethod = () =>
  new ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");

export const notFound = (r: Resource, name: string) =>
  new ApiError(404, "NotFound", `${qualified(r)} "${name}" not found`, detailsOf(r, name));

export const alreadyExists = (r: Resource, name: string) =>
  new ApiError(409, "AlreadyExists", `${qualified(r)} "${name}" already exists`, detailsOf(r, name));

export const conflict = (
  r: Resource,
  name: string,
  why = "the object has been modified; please apply your changes to the latest version and try again",
) =>
  new ApiError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(r)} "${name}": ${why}`,
    detailsOf(r, name),
  );

export const invalid = (r: Resource, name: string, causes: Cause[]) =>
  new ApiError(
    422,
    "Invalid",
    `${r.kind}${r.group === "" ? "" : `.${r.group}`} "${name}" is invalid: ${
      causes.map((c) => (c.field === undefined ? "" : `${c.field}: `) + c.message).join(", ")
    }`,
    { name, ...(r.group === "" ? {} : { group: r.group }), kind: r.kind, causes },
  );

/** For admission, which names the object but no user. */
export const refused = (r: Resource, name: string, why: string) =>
  new ApiError(403, "Forbidden", `${qualified(r)} "${name}" is forbidden: ${why}`, detailsOf(r, name));

export const expired = (from: number, oldest: number) =>
  new ApiError(410, "Expired", `too old resource version: ${from} (${oldest})`);

export const tooLarge = (wanted: number, newest: number) =>
  new ApiError(504, "Timeout", `Too large resource version: ${wanted}, current: ${newest}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1,
  });

export const tooManyRequests = (retryAfterSeconds: number) =>
  new ApiError(429, "TooManyRequests", "too many requests, please try again later", { retryAfterSeconds });

export const unsupported = (...accepted: string[]) =>
  new ApiError(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
  );
