/**
 * The Networks port: further networks of pods, by CNI. What is attached is read from the record of attachments each
 * time; this agent's bear its name. Not for: which networks a pod wants (model/networks.ts), what has leaked (leaks.ts).
 */
import { type CniNetwork, isJson, type Json } from "../../agent/model/cni_config.ts";
import { AgentError, errorText } from "../../agent/model/errors.ts";
import type { WantedNetwork } from "../../agent/model/networks.ts";
import type { ObservedNetwork } from "../../agent/model/observed.ts";
import type { CniResult, NetworkPlace, Networks } from "../../agent/plugin_ports.ts";
import type { Host } from "../../agent/ports.ts";
import type { Attachment } from "./cache.ts";
import type { Cni, CniRequest } from "./mod.ts";

export interface PodNetworksOptions {
  cni: Cni;
  host: Pick<Host, "exec" | "stat">;
  /** Name of this agent among those that share the record. */
  owner: string;
}

/** The interface that the runtime attaches. */
const FIRST = "eth0";

export function createPodNetworks(o: PodNetworksOptions): Networks {
  const { cni } = o;
  const isOurs = (a: Attachment) => a.owner === o.owner;

  const attached: Networks["attached"] = async (sandboxId) => {
    const all = await cni.attachments(sandboxId);
    const ours = inOrder(all.filter(isOurs));
    if (ours.length === 0) return [];
    const first = all.filter((a) => a.owner === undefined && a.ifname === FIRST);
    return [...first, ...ours].map(observedNetwork);
  };

  const attach: Networks["attach"] = async (place, wanted, signal) => {
    const done = (await cni.attachments(place.sandboxId)).filter((a) => isOurs(a) && a.result !== undefined);
    const added: ObservedNetwork[] = [];
    for (const [i, each] of wanted.entries()) {
      if (done.some((a) => a.ifname === each.ifname)) continue;
      added.push(await attachOne(place, each, i, signal));
    }
    return added;
  };

  const attachOne = async (
    place: NetworkPlace,
    wanted: WantedNetwork,
    position: number,
    signal: AbortSignal,
  ) => {
    const where = `network ${wanted.key} (${wanted.ifname})`;
    try {
      const network = withCniArgs(wanted.network ?? await networkNamed(cni, wanted.name), wanted.cniArgs);
      checkCapabilities(network, wanted.capabilityArgs);
      const request = requestFor(place, wanted);
      const keeping = { owner: o.owner, note: { definition: wanted.key, position } };
      const routed = (_: CniResult) => setDefaultRoutes(o.host, place.netns, wanted, signal);
      const result = await cni.add(network, request, { ...keeping, finish: routed }, signal);
      return observedNetwork({ ...request, network, result, ...keeping });
    } catch (error) {
      signal.throwIfAborted();
      const retry = !(error instanceof AgentError) || error.retry;
      throw new AgentError("CreatePodSandboxError", `${where}: ${errorText(error)}`, { retry, cause: error });
    }
  };

  const detach: Networks["detach"] = async (sandboxId, signal) => {
    const ours = (await cni.attachments(sandboxId)).filter(isOurs);
    const errors: AgentError[] = [];
    for (const attachment of inOrder(ours).reverse()) {
      try {
        await cni.del(attachment.network.name, await withLiveNamespace(o.host, attachment), signal);
      } catch (cause) {
        signal.throwIfAborted();
        const where = `${attachment.ifname} of network ${nameOf(attachment)}`;
        errors.push(
          new AgentError("FailedKillPod", `cannot detach ${where}: ${errorText(cause)}`, { cause }),
        );
      }
    }
    if (errors[0] !== undefined) throw errors[0];
  };

  return { attached, attach, detach };
}

/** As the pod names them. */
const inOrder = (attachments: readonly Attachment[]): Attachment[] =>
  attachments.toSorted((a, b) => Number(a.note?.["position"]) - Number(b.note?.["position"]));

/** A namespace that is gone is told as none: plugins then give back what is outside of it. */
export async function withLiveNamespace(
  host: Pick<Host, "stat">,
  attachment: Attachment,
): Promise<Attachment> {
  const { netns } = attachment;
  const isThere = netns !== "" && await host.stat(netns) !== undefined;
  return isThere ? attachment : { ...attachment, netns: "" };
}

const nameOf = ({ note, network }: Attachment): string =>
  typeof note?.["definition"] === "string" ? note["definition"] : network.name;

async function networkNamed(cni: Cni, name: string): Promise<CniNetwork> {
  const { networks, problems } = await cni.networks();
  const found = networks.find((n) => n.network.name === name);
  if (found !== undefined) return found.network;
  const [broken] = problems;
  const hint = broken === undefined ? "" : `; ${broken.file} cannot be read: ${broken.message}`;
  throw new AgentError(
    "Unknown",
    `its definition has no config, and no network of the node is named ${name}${hint}`,
  );
}

/** A plugin that is asked for what it does not know would leave it out in silence. */
function checkCapabilities({ name, plugins }: CniNetwork, asked: Json): void {
  const declared = new Set(plugins.flatMap((p) => p.capabilities));
  const missing = Object.keys(asked).filter((capability) => !declared.has(capability));
  if (missing.length === 0) return;
  const [first] = missing;
  const cure = `set capabilities: {"${first}": true} for the plugin that knows it`;
  throw new AgentError(
    "Unknown",
    `no plugin of ${name} declares the capability ${missing.join(", ")}: ${cure}`,
    {
      retry: false,
    },
  );
}

/** As CNI's conventions have it: `args.cni` of each plugin. */
function withCniArgs(network: CniNetwork, cniArgs: Json): CniNetwork {
  if (Object.keys(cniArgs).length === 0) return network;
  const plugins = network.plugins.map((p) => {
    const args = isJson(p.config["args"]) ? p.config["args"] : {};
    const cni = isJson(args["cni"]) ? args["cni"] : {};
    return { ...p, config: { ...p.config, args: { ...args, cni: { ...cni, ...cniArgs } } } };
  });
  return { ...network, plugins };
}

const requestFor = ({ sandboxId, netns, pod }: NetworkPlace, wanted: WantedNetwork): CniRequest => ({
  containerId: sandboxId,
  netns,
  ifname: wanted.ifname,
  capabilityArgs: wanted.capabilityArgs,
  args: [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", pod.namespace],
    ["K8S_POD_NAME", pod.name],
    ["K8S_POD_INFRA_CONTAINER_ID", sandboxId],
    ["K8S_POD_UID", pod.uid],
  ],
});

/** The route that the first interface brought gives way. */
async function setDefaultRoutes(
  host: Pick<Host, "exec">,
  netns: string,
  { defaultRoute, ifname }: WantedNetwork,
  signal: AbortSignal,
): Promise<void> {
  for (const gateway of defaultRoute) {
    const ip = [
      "ip",
      gateway.includes(":") ? "-6" : "-4",
      "route",
      "replace",
      "default",
      "via",
      gateway,
      "dev",
      ifname,
    ];
    const { code, stderr } = await host.exec(["nsenter", `--net=${netns}`, ...ip], {}, signal);
    if (code === 0) continue;
    const said = new TextDecoder().decode(stderr.subarray(0, 500)).trim();
    throw new AgentError("Unknown", `default route via ${gateway}: ${said || `ip ended with ${code}`}`);
  }
}

function observedNetwork(a: Attachment): ObservedNetwork {
  const { result } = a;
  const at = result?.interfaces.findIndex((i) => i.name === a.ifname && i.sandbox !== undefined) ?? -1;
  const own = result?.interfaces[at];
  const ips = (result?.ips ?? []).filter((ip) => ip.interface === undefined || at < 0 || ip.interface === at);
  return {
    name: nameOf(a),
    ifname: a.ifname,
    isDefault: a.owner === undefined,
    complete: result !== undefined,
    ips: ips.map((ip) => ip.address.split("/")[0]!),
    gateways: ips.flatMap((ip) => ip.gateway ?? []),
    ...(own?.mac !== undefined && { mac: own.mac }),
    ...(own?.mtu !== undefined && { mtu: own.mtu }),
    ...(result && { dns: result.dns }),
  };
}
