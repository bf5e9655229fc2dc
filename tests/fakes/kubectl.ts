/** Real kubectl as a user of the double. Not for: kubectl against the agent itself. */
import type { Cluster } from "./cluster/cluster.ts";

/** Both outputs, behind the exit status where that is not 0. */
export type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

/** As an administrator; its kubeconfig and cache lie in `directory`. */
export async function kubectlOf(cluster: Cluster, directory: string): Promise<Kubectl> {
  await Deno.writeTextFile(`${directory}/kubeconfig`, await cluster.kubeconfig());
  return async (args, input = "") => {
    const child = new Deno.Command("kubectl", {
      args: [
        `--kubeconfig=${directory}/kubeconfig`,
        `--cache-dir=${directory}/cache`,
        "--request-timeout=20s",
        ...args,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return code === 0 ? text : `exit status ${code}: ${text}`;
  };
}
