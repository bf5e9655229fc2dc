/** `agent apply`: checked manifests become files of the manifest directory; the agent does the rest. */
import type { Pod } from "../model/gen/v1.ts";
import { podKey } from "../model/wish.ts";
import { createApiClient } from "./client.ts";
import { type Command, CommandError, type ParsedArgs, UsageError } from "./command.ts";
import { type Io, socketPath } from "./io.ts";
import { planApply } from "./manifest_plan.ts";
import { applyPlan, manifestDirectory, readDirectory, readInput } from "./manifests.ts";
import { appliedPod, waitFlags, waitFor, waitMs } from "./wait.ts";

async function run(args: ParsedArgs, io: Io): Promise<number> {
  const paths = args.texts("filename");
  if (paths.length === 0) throw new UsageError(`"agent apply" needs -f FILE`);
  const client = createApiClient(socketPath(args, io));
  try {
    const input = await readInput(paths, io);
    const directory = await manifestDirectory(client, io);
    if ((await io.files.stat(directory))?.kind === "file") {
      throw new CommandError(`the agent reads a single manifest, ${directory}: edit that file`);
    }
    const names = await io.files.list(directory) ?? [];
    const taken = new Set(names.map((name) => `${directory}/${name}`));
    const plan = planApply(directory, await readDirectory(directory, io), input.documents, taken);
    const waits = args.is("wait") && !args.is("dry-run");
    const before = waits ? (await client.get<{ items: Pod[] }>("/pods", io.signal)).items : [];
    await applyPlan(plan, args.is("dry-run"), io);
    if (!waits) return 0;
    const pods = new Map(input.pods.map((pod) => {
      const old = before.find((other) => podKey(other) === podKey(pod));
      return [podKey(pod), appliedPod(pod, old)];
    }));
    return await waitFor({ objects: pods, timeoutMs: waitMs(args) }, client, io) ? 0 : 1;
  } finally {
    client.close();
  }
}

export const apply: Command = {
  name: "apply",
  summary: "Check manifests, then put them into the manifest directory",
  details:
    "Each document becomes a file of its own, or replaces the document that described its objects before;\n" +
    "neighbours in the same file are left as they are. Nothing is changed when there is an error.",
  arguments: [],
  flags: [
    {
      name: "filename",
      short: "f",
      kind: "text",
      placeholder: "FILE",
      summary: "file, directory, or - for standard input; may be repeated",
      complete: "files",
      repeated: true,
    },
    ...waitFlags("until the pods are ready, showing how it goes"),
    { name: "dry-run", kind: "boolean", summary: "only say what would be done" },
  ],
  examples: [
    { does: "Run a pod and wait until it is ready", line: "agent apply -f web.yaml --wait" },
    { does: "From a pipe", line: "agent apply -f - < web.yaml" },
  ],
  run,
};
