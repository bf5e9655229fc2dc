/** CNI plugins as shell scripts that write down how they were called, and answer what a test asks for. */
import { createCni } from "../../plugins/cni/mod.ts";
import { createHost } from "../../agent/host.ts";

const script = `#!/bin/sh
d=\${0%/*}; n=\${0##*/}
input=$(cat)
printf '%s\\n' "$n $CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS" "$input" >>"$d/calls"
if [ -e "$d/$n.$CNI_COMMAND" ]; then . "$d/$n.$CNI_COMMAND"; fi
`;

export interface FakeCall {
  /** Plugin and command. */
  call: string;
  /** Container, namespace, interface and arguments, as they are in the environment. */
  target: string;
  // deno-lint-ignore no-explicit-any -- a test looks at whatever is in it
  input: any;
}

/** A directory of plugins, configurations and a cache, with the executor on it. */
export async function createFakeNetwork(plugins: readonly string[], timeoutMs = 10_000) {
  const directory = await Deno.makeTempDir({ prefix: "cni-" });
  for (const name of ["bin", "conf", "cache"]) await Deno.mkdir(`${directory}/${name}`);
  for (const name of plugins) await Deno.writeTextFile(`${directory}/bin/${name}`, script, { mode: 0o755 });
  const cni = createCni({
    host: createHost(),
    binDirs: [`${directory}/nothing`, `${directory}/bin`],
    confDir: `${directory}/conf`,
    cacheDir: `${directory}/cache`,
    timeoutMs,
  });
  return {
    directory,
    cni,
    /** What the plugin runs, in sh, when it gets this command. */
    answer: (plugin: string, command: string, shell: string) =>
      Deno.writeTextFile(`${directory}/bin/${plugin}.${command}`, shell),
    result: (plugin: string, result: unknown) =>
      Deno.writeTextFile(`${directory}/bin/${plugin}.ADD`, `cat <<'END'\n${JSON.stringify(result)}\nEND\n`),
    configure: (name: string, text: string) => Deno.writeTextFile(`${directory}/conf/${name}`, text),
    async calls(): Promise<FakeCall[]> {
      const text = await Deno.readTextFile(`${directory}/bin/calls`).catch(() => "");
      const lines = text.split("\n").slice(0, -1);
      return Array.from({ length: lines.length / 2 }, (_, i) => {
        const [plugin, command, ...target] = lines[2 * i]!.split(" ");
        const input: unknown = JSON.parse(lines[2 * i + 1]!);
        return { call: `${plugin} ${command}`, target: target.join(" "), input };
      });
    },
    forgetCalls: () => Deno.remove(`${directory}/bin/calls`).catch(() => {}),
    /** Names of the attachments on record. */
    cached: () =>
      Array.fromAsync(Deno.readDir(`${directory}/cache/results`)).then(
        (entries) => entries.map((e) => e.name).sort(),
        () => [],
      ),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
