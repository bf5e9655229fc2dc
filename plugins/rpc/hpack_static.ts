/**
 * HPACK's static table (RFC 7541, appendix A) and lookups in it. Only data: the codec is hpack.ts.
 */

const rows = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

/** Entry with index n of the RFC is at n - 1. */
export const staticTable: ReadonlyArray<readonly [name: string, value: string]> = rows.split("\n").map(
  (row) => {
    const gap = row.indexOf(" ");
    return gap < 0 ? [row, ""] : [row.slice(0, gap), row.slice(gap + 1)];
  },
);

const byField = new Map(staticTable.map(([name, value], at) => [`${name} ${value}`, at + 1]));
const byName = new Map(staticTable.map(([name], at) => [name, at + 1] as const).reverse());

/** Index of the entry with this name and value. */
export function findStatic(name: string, value: string): number | undefined {
  return byField.get(`${name} ${value}`);
}

/** Index of the first entry with this name. */
export function findStaticName(name: string): number | undefined {
  return byName.get(name);
}
