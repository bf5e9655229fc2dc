/**
 * Logs, exec, attach, port-forward and the node's proxy: found out where the node's endpoint is and which of its paths is
 * meant; then the octets of both sides are passed on untouched. Source: pkg/registry/core/pod/rest, pkg/kubelet/client.
 */
import https from "node:https";
import type http from "node:http";
import tls from "node:tls";
import type { Duplex } from "node:stream";
import { ApiError, badRequest, notFound } from "./errors.ts";
import { asList, asObject, asText, type Stored } from "./objects.ts";
import { nodeOf } from "./references.ts";
import type { Target } from "./resources.ts";
import { translator } from "./translation.ts";
import { kinds, type World } from "./world.ts";

export interface KubeletAddress {
  host: string;
  port: number;
  /** With its query. */
  path: string;
}

const proxied = new Set(["log", "exec", "attach", "portforward", "proxy"]);
export const isProxied = ({ subresource }: Target): boolean =>
  subresource !== undefined && proxied.has(subresource);

/** @throws {ApiError} 400, 404 */
export function kubeletAddress(world: World, target: Target, query: URLSearchParams): KubeletAddress {
  const { resource, namespace, name = "", subresource, rest } = target;
  const object = world.store.get(resource, namespace, name);
  if (object === undefined) throw notFound(resource, name);
  if (resource.kind === "Node") return endpointOf(object, `/${rest}${query.size === 0 ? "" : `?${query}`}`);
  const node = world.store.get(kinds.node, undefined, nodeOf(object));
  if (node === undefined) throw badRequest(`pod ${name} does not have a host assigned`);
  return endpointOf(node, pathFor(object, subresource!, query));
}

/** Fields of PodLogOptions. */
const logOptions = (
  "follow previous sinceSeconds sinceTime timestamps tailLines limitBytes stream insecureSkipTLSVerifyBackend"
).split(" ");

function pathFor(pod: Stored, subresource: string, query: URLSearchParams): string {
  const place = `${pod.metadata.namespace}/${pod.metadata.name}`;
  if (subresource === "portforward") return withQuery(`/portForward/${place}`, query);
  const container = query.get("container") ?? onlyContainer(pod);
  const kept = (names: readonly string[]) => [...query].filter(([key]) => names.includes(key));
  if (subresource === "log") {
    return withQuery(`/containerLogs/${place}/${container}`, new URLSearchParams(kept(logOptions)));
  }
  const names: Record<string, string> = { stdin: "input", stdout: "output", stderr: "error" };
  const asked = new URLSearchParams(
    kept(["command", "stdin", "stdout", "stderr", "tty"])
      .filter(([key, value]) => key === "command" || value === "true" || value === "1")
      .map(([key, value]) => key === "command" ? [key, value] : [names[key] ?? key, "1"]),
  );
  return withQuery(`/${subresource}/${place}/${container}`, asked);
}

const withQuery = (path: string, query: URLSearchParams) => query.size === 0 ? path : `${path}?${query}`;

function onlyContainer(pod: Stored): string {
  const names = asList(pod.spec?.containers).map((c) => asText(asObject(c).name));
  if (names.length === 1) return names[0]!;
  throw badRequest(
    `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(" ")}]`,
  );
}

function endpointOf(node: Stored, path: string): KubeletAddress {
  const addresses = asList(node.status?.addresses).map(asObject);
  const address =
    ["InternalIP", "ExternalIP", "Hostname"].flatMap((type) => addresses.filter((a) => a.type === type))[0];
  const endpoint = asObject(asObject(node.status?.daemonEndpoints).kubeletEndpoint);
  if (address === undefined) throw badRequest(`node ${node.metadata.name} has no address`);
  return { host: asText(address.address), port: Number(endpoint.Port ?? 10250), path };
}

/** kubeadm's API server does not check the certificates of kubelets. */
const connection = ({ kubeletClient }: World, { host, port }: KubeletAddress) => ({
  host,
  port,
  ...kubeletClient,
  rejectUnauthorized: false,
});

const withoutCredentials = ({ authorization: _secret, host: _host, ...headers }: http.IncomingHttpHeaders) =>
  headers;

/** Logs are checked: a kubelet's refusal becomes a Status (k8s.io/apiserver, GenericHttpResponseChecker). */
async function refusalOf(answer: http.IncomingMessage): Promise<ApiError> {
  let words = "";
  for await (const chunk of answer) words += new TextDecoder().decode(chunk);
  const code = answer.statusCode ?? 500;
  if (code === 400) return badRequest(words);
  if (code === 500) return new ApiError(500, "InternalError", `Internal error occurred: ${words}`);
  return new ApiError(code, code === 404 ? "NotFound" : "Unknown", words);
}

/** @param checked whether only what is good is passed on as it is */
export function proxyRequest(
  world: World,
  address: KubeletAddress,
  request: http.IncomingMessage,
  response: http.ServerResponse,
  checked: boolean,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const onward = https.request({
    ...connection(world, address),
    path: address.path,
    method: request.method,
    headers: withoutCredentials(request.headers),
  });
  onward.on("response", (answer) => {
    if (checked && (answer.statusCode ?? 500) >= 300) return void refusalOf(answer).then(reject, reject);
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    response.flushHeaders();
    answer.on("close", () => answer.complete ? undefined : response.destroy());
    answer.on("error", () => response.destroy());
    answer.pipe(response);
    resolve(answer.statusCode ?? 502);
  });
  onward.on("error", reject);
  response.on("close", () => onward.destroy());
  request.pipe(onward);
  return promise;
}

/** Resolves when both sides are connected; rejects when the kubelet cannot be reached, or refuses what is translated. */
export async function proxyUpgrade(
  world: World,
  address: KubeletAddress,
  request: http.IncomingMessage,
  client: Duplex,
  head: Uint8Array,
): Promise<void> {
  const host = `${address.host}:${address.port}`;
  const translate = translator(request);
  if (translate !== undefined) {
    return await translate(client, head, () => dial(world, address), { host, path: address.path });
  }
  const onward = await dial(world, address);
  const lines = [`${request.method} ${address.path} HTTP/1.1`, `Host: ${host}`];
  for (const [name, value] of Object.entries(withoutCredentials(request.headers))) {
    for (const one of Array.isArray(value) ? value : [value]) lines.push(`${name}: ${one}`);
  }
  onward.write(lines.join("\r\n") + "\r\n\r\n");
  if (head.length > 0) onward.write(head);
  onward.pipe(client);
  client.pipe(onward);
  client.on("error", () => onward.destroy());
  client.on("close", () => onward.destroy());
}

async function dial(world: World, address: KubeletAddress): Promise<tls.TLSSocket> {
  const socket = tls.connect(connection(world, address));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("secureConnect", resolve);
  socket.once("error", reject);
  await promise;
  socket.on("error", () => socket.destroy());
  return socket;
}
