/**
 * The little of HTTP/1.1 that a health check needs, pure: bytes of a request's head -> method and path; a short text
 * -> bytes of a response. Not for: bodies, keep-alive, anything but small answers (serve.ts uses Deno.serve for those).
 */

/** Request heads beyond this are refused. */
export const maxHead = 8 * 1024;

export interface RequestHead {
  method: string;
  /** With its query, as sent. */
  target: string;
}

/** `more` while the head is not complete; `undefined` when it is no HTTP. */
export function parseRequestHead(bytes: Uint8Array): RequestHead | "more" | undefined {
  const text = new TextDecoder("latin1").decode(bytes);
  const end = text.search(/\r?\n\r?\n/);
  if (end < 0) return bytes.length < maxHead ? "more" : undefined;
  const match = /^([A-Z]+) (\/[\x21-\x7e]*) HTTP\/1\.[01]\r?(\n|$)/.exec(text.slice(0, end));
  return match === null ? undefined : { method: match[1]!, target: match[2]! };
}

const reasons: Record<number, string> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  503: "Service Unavailable",
};

export function formatResponse(status: number, type: string, body: string): Uint8Array {
  const encoder = new TextEncoder();
  const length = encoder.encode(body).length;
  return encoder.encode(
    `HTTP/1.1 ${status} ${
      reasons[status] ?? "Error"
    }\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n` +
      `x-content-type-options: nosniff\r\nconnection: close\r\n\r\n${body}`,
  );
}
