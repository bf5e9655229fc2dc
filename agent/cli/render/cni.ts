/** Networks, attachments and results of CNI as tables. Pure. */
import { isJson, type Json } from "../../model/cni_config.ts";
import type { FoundNetworks, RecordedAttachment } from "../cni_tool.ts";
import type { Field } from "./fields.ts";
import { formatTable, type Paint } from "./text.ts";

const textsIn = (value: unknown, key: string): string[] =>
  (Array.isArray(value) ? value : []).flatMap((item: unknown) =>
    isJson(item) && typeof item[key] === "string" ? [item[key]] : []
  );

/** CIDRs, of any version's result. */
export const addressesOf = (result: Json | undefined): string[] => [
  ...textsIn(result?.["ips"], "address"),
  ...textsIn([result?.["ip4"], result?.["ip6"]], "ip"),
];

export function networkTable({ networks }: FoundNetworks, paint: Paint): string {
  const rows = networks.map(({ file, network }) => [
    network.name,
    network.cniVersion,
    network.plugins.map((p) => p.type).join(","),
    file,
  ]);
  return formatTable(["NETWORK", "VERSION", "PLUGINS", "FILE"], rows, paint);
}

/** Ids of sandboxes are long; as many digits as tell them apart elsewhere, too. */
const shortId = (id: string): string => /^[0-9a-f]{64}$/.test(id) ? id.slice(0, 13) : id;

export function attachmentTable(attachments: readonly RecordedAttachment[], paint: Paint): string {
  const rows = attachments.map((a) => [
    a.network.name,
    shortId(a.containerId),
    a.ifname,
    a.result === undefined ? "(not finished)" : addressesOf(a.result).join(",") || "<none>",
    a.owner ?? "<none>",
    a.netns || "<none>",
  ]);
  return formatTable(["NETWORK", "CONTAINER", "INTERFACE", "ADDRESSES", "OWNER", "NAMESPACE"], rows, paint);
}

/** The annotation network-status of a pod, an interface a line. */
export function networkFields(annotation: string | undefined): Field[] {
  let value: unknown;
  try {
    value = JSON.parse(annotation ?? "[]");
  } catch {
    return [["Networks", annotation ?? ""]];
  }
  const lines = (Array.isArray(value) ? value : []).filter(isJson).map((n): Field => {
    const ips = Array.isArray(n["ips"]) ? n["ips"].join(", ") : "";
    return [String(n["interface"]), `${ips || "no address"}, ${n["name"]}`];
  });
  return lines.length === 0 ? [] : [["Networks", lines]];
}

/** `eth0   10.1.0.2/24   gateway 10.1.0.1`. */
export function resultText(ifname: string, result: Json): string {
  const gateways = [
    ...textsIn(result["ips"], "gateway"),
    ...textsIn([result["ip4"], result["ip6"]], "gateway"),
  ];
  const addresses = addressesOf(result).join(",") || "no address";
  return [ifname, addresses, ...gateways.map((g) => `gateway ${g}`)].join("   ") + "\n";
}
