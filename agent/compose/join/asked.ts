/** What joining goes by, from flags or from a JoinConfiguration. Not for: what they mean (cluster/join/). */
import { resolve } from "@std/path";
import type { JoinAsked } from "../../cli/join_steps.ts";
import { type JoinConfiguration, parseJoinConfiguration } from "../../cluster/join/join_configuration.ts";
import { JoinFailure } from "../../cluster/join/join_failure.ts";
import { joinOfFlags } from "../../cluster/join/join_flags.ts";
import { formatProblem } from "../../model/errors.ts";
import type { Host } from "../../ports.ts";
import { locateProblems } from "../../sources/locate.ts";
import { Refusal } from "./steps.ts";

/** @throws {Refusal}, {JoinFailure} */
export async function readJoin(
  o: { host: Pick<Host, "readText">; cwd: string },
  asked: JoinAsked,
): Promise<{ message: string; join: JoinConfiguration }> {
  const message = "";
  if (asked.configFile === undefined) {
    const file = asked.discoveryFile === undefined
      ? {}
      : { discoveryFile: resolve(o.cwd, asked.discoveryFile) };
    const read = joinOfFlags({ ...asked, ...file });
    if ("join" in read) return { message, join: read.join };
    throw new Refusal("what was asked for cannot be done", read.wrong, "see `agent help join`");
  }
  const path = resolve(o.cwd, asked.configFile);
  const text = await o.host.readText(path);
  if (text === undefined) {
    throw new JoinFailure(`${path} does not exist`, "give a JoinConfiguration with --config");
  }
  const { join, problems } = parseJoinConfiguration(path, text);
  if (join === undefined) {
    const located = await locateProblems(text, problems);
    throw new Refusal(
      `${path} cannot be used`,
      located.map(formatProblem),
      "mend it; `kubeadm config print join-defaults` shows the form",
    );
  }
  return {
    message,
    join: {
      ...join,
      ignorePreflightErrors: [...join.ignorePreflightErrors, ...asked.ignorePreflightErrors],
      ...(asked.nodeName === undefined ? {} : { nodeName: asked.nodeName }),
      ...(asked.criSocket === undefined ? {} : { criSocket: asked.criSocket }),
    },
  };
}
