/**
 * Between header lists and what gRPC says with them (gRPC over HTTP/2, "Requests" and "Responses"): request headers,
 * metadata, the status in trailers. Pure; sends nothing.
 */
import { ErrorCode } from "./frames.ts";
import type { HeaderList } from "./hpack.ts";
import type { CallOptions } from "./service.ts";
import {
  Code,
  decodeStatusMessage,
  encodeStatusMessage,
  encodeTimeout,
  parseCode,
  RpcError,
} from "./status.ts";
import type { StreamLoss } from "./stream.ts";

const contentType = "application/grpc";
const reserved = new Set(["te", "content-type", "user-agent", "host", "connection", "transfer-encoding"]);

/** Whom a channel's requests are for, and from. */
export interface Caller {
  readonly authority: string;
  readonly userAgent?: string;
}

/** Headers of a request. @throws {RpcError} INVALID_ARGUMENT for metadata that may not be sent. */
export function requestHeaders(path: string, caller: Caller, options: CallOptions): HeaderList {
  const headers: Array<[string, string]> = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", caller.authority],
    ["te", "trailers"],
    ["content-type", contentType],
  ];
  if (caller.userAgent !== undefined) headers.push(["user-agent", caller.userAgent]);
  if (options.timeoutMs !== undefined) headers.push(["grpc-timeout", encodeTimeout(options.timeoutMs)]);
  for (const [name, value] of Object.entries(options.metadata ?? {})) {
    if (
      !/^[0-9a-z_.-]+$/.test(name) || name.startsWith("grpc-") || name.endsWith("-bin") || reserved.has(name)
    ) {
      throw new RpcError(Code.INVALID_ARGUMENT, `"${name}" cannot be the name of metadata`);
    }
    if (!/^[\x20-\x7e]*$/.test(value)) {
      throw new RpcError(Code.INVALID_ARGUMENT, `the value of metadata "${name}" is not printable ASCII`);
    }
    headers.push([name, value]);
  }
  return headers;
}

export function findHeader(list: HeaderList, name: string): string | undefined {
  return list.find(([key]) => key === name)?.[1];
}

/** The application's part of request headers. Of a name that comes twice the values are joined by commas. */
export function readMetadata(list: HeaderList): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  for (const [name, value] of list) {
    if (name.startsWith(":") || name.startsWith("grpc-") || reserved.has(name)) continue;
    const before = metadata[name];
    metadata[name] = before === undefined ? value : `${before},${value}`;
  }
  return metadata;
}

export const responseHeaders: HeaderList = [[":status", "200"], ["content-type", contentType]];

export function statusTrailers(error?: RpcError): HeaderList {
  if (error === undefined) return [["grpc-status", "0"]];
  return [["grpc-status", String(error.code)], ["grpc-message", encodeStatusMessage(error.details)]];
}

export function isGrpc(list: HeaderList): boolean {
  return findHeader(list, "content-type")?.startsWith(contentType) ?? false;
}

/** What trailers say: undefined for OK. */
export function readStatus(trailers: HeaderList): RpcError | undefined {
  const status = findHeader(trailers, "grpc-status");
  if (status === undefined) return new RpcError(Code.INTERNAL, "the response ended without grpc-status");
  const code = parseCode(status);
  if (code === Code.OK) return undefined;
  return new RpcError(code, decodeStatusMessage(findHeader(trailers, "grpc-message") ?? ""));
}

const httpCodes: Record<string, Code> = {
  "400": Code.INTERNAL,
  "401": Code.UNAUTHENTICATED,
  "403": Code.PERMISSION_DENIED,
  "404": Code.UNIMPLEMENTED,
  "429": Code.UNAVAILABLE,
  "502": Code.UNAVAILABLE,
  "503": Code.UNAVAILABLE,
  "504": Code.UNAVAILABLE,
};

/** Why response headers are not those of a gRPC response; undefined when they are. */
export function refuseResponse(list: HeaderList): RpcError | undefined {
  const status = findHeader(list, ":status") ?? "none";
  if (status !== "200") {
    return new RpcError(httpCodes[status] ?? Code.UNKNOWN, `the server answered HTTP ${status}`);
  }
  return isGrpc(list) ? undefined : new RpcError(Code.UNKNOWN, "the response is not application/grpc");
}

/** A lost stream as a status (gRPC over HTTP/2, "Errors"). */
export function lossStatus(loss: StreamLoss): RpcError {
  if (loss.disconnected || loss.refused) return new RpcError(Code.UNAVAILABLE, loss.message);
  switch (loss.code) {
    case ErrorCode.CANCEL:
      return new RpcError(Code.CANCELLED, loss.message);
    case ErrorCode.ENHANCE_YOUR_CALM:
      return new RpcError(Code.RESOURCE_EXHAUSTED, loss.message);
    case ErrorCode.INADEQUATE_SECURITY:
      return new RpcError(Code.PERMISSION_DENIED, loss.message);
    default:
      return new RpcError(Code.INTERNAL, loss.message);
  }
}
