/** How full a volume of a pod is, asked of its driver. Not for: when to ask (node/volume_meter.ts). */
import type { CsiVolumeStats } from "../../plugin_ports.ts";
import type { CsiParts } from "./parts.ts";

/** `undefined` where the pod does not have it whole, or its driver is away or does not tell. */
export async function volumeStats(
  p: CsiParts,
  uid: string,
  specName: string,
  signal: AbortSignal,
): Promise<CsiVolumeStats | undefined> {
  const read = () => p.records.read(uid, { specName, block: false });
  const volume = await read();
  if (volume === undefined) return undefined;
  return await p.turns.take(p.keyOf(volume), signal, async () => {
    const record = await read();
    const driver = p.drivers.driver(volume.driver);
    if (record?.stage !== "published" || !driver?.facts.hasStats) return undefined;
    const places = await p.places();
    return await driver.stats({
      id: record.handle,
      path: places.inPod(uid, record).target,
      stagingPath: !record.ephemeral && driver.facts.stages ? (await places.onNode(record)).staging : "",
    }, signal);
  });
}
