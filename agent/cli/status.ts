/** `agent status`: one look at node, runtime, problems and pods. */
import { createApiClient } from "./client.ts";
import type { Command } from "./command.ts";
import { type Io, socketPath, wantsColour } from "./io.ts";
import type { Problem } from "../model/errors.ts";
import type { Pod } from "../model/gen/v1.ts";
import type { AgentStatus } from "../model/status_types.ts";
import { objectOutput, toJson, toYaml } from "./output.ts";
import { renderStatus } from "./render/status.ts";
import type { DeviceItem } from "./render/tables.ts";
import { createPaint } from "./render/text.ts";

export const status: Command = {
  name: "status",
  summary: "One look: node, runtime, problems, pods",
  arguments: [],
  flags: [objectOutput],
  examples: [{ does: "Is all well?", line: "agent status" }],
  async run(args, io: Io) {
    const client = createApiClient(socketPath(args, io));
    try {
      const [status, problems, pods, devices] = await Promise.all([
        client.get<AgentStatus>("/status", io.signal),
        client.get<{ items: Problem[] }>("/problems", io.signal),
        client.get<{ items: Pod[] }>("/pods", io.signal),
        client.get<{ items: DeviceItem[] }>("/devices", io.signal),
      ]);
      const look = {
        status,
        problems: problems.items,
        pods: pods.items,
        devices: devices.items,
        now: io.now(),
      };
      const output = args.text("output");
      if (output === "json") await io.out(toJson(look));
      else if (output === "yaml") await io.out(toYaml(look));
      else await io.out(renderStatus(look, createPaint(wantsColour(io))));
      return 0;
    } finally {
      client.close();
    }
  },
};
