import { assertEquals } from "@std/assert";
import { createLab } from "./lab.ts";

async function shell(
  argv: string[],
  stdin: string,
): Promise<{ code: number; out: string; err: string } | undefined> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(argv[0]!, {
      args: argv.slice(1),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

const checks = { bash: ["bash", "-n"], zsh: ["zsh", "-n"], fish: ["fish", "-n"] };

for (const [name, argv] of Object.entries(checks)) {
  Deno.test(`the completion script is what ${name} understands, where it is installed`, async () => {
    await using lab = await createLab();
    lab.io.run.flags = [{ name: "odd", kind: "text", summary: `it's "odd": [x] $y \\ \`z\`` }];
    const script = (await lab.agent("completion", name)).out;
    const checked = await shell(argv, script);
    if (checked !== undefined) assertEquals(checked, { code: 0, out: "", err: "" });
  });
}

Deno.test("bash completes commands, flags, their values, and names of pods", async () => {
  await using lab = await createLab();
  const script = (await lab.agent("completion", "bash")).out;
  const cases: [string, string][] = [
    [
      "agent ''",
      "run status config teardown version join reset kubelet get describe events top logs exec attach debug cp port-forward restart wait apply delete check images cni completion help",
    ],
    [
      "agent get ''",
      "pods configmaps secrets runtimeclasses persistentvolumeclaims persistentvolumes storageclasses csidrivers plugins devices events problems images",
    ],
    ["agent get pods w", "web"],
    ["agent describe -n x pvc d", "data"],
    ["agent wait pvc web ''", "data logs"],
    ["agent get devices ''", "/dev/kvm"],
    ["agent get -o ''", "wide json yaml name"],
    ["agent get --output = j", "json"],
    ["agent get -n x pods ''", "web db"],
    ["agent logs --ta", "--tail"],
    ["agent images i", "import"],
    ["agent help stat", "status"],
  ];
  const ask = cases.map(([words]) =>
    `COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _agent; echo "\${COMPREPLY[*]}"\n`
  );
  const agent = `agent() {
    case "$2" in
      pods) printf 'pod/web\\npod/db\\n' ;;
      pvc) printf 'persistentvolumeclaim/data\\npersistentvolumeclaim/logs\\n' ;;
      devices) echo device//dev/kvm ;;
    esac
  }`;
  const program = `${agent}\n${script}\n${ask.join("")}`;
  const { out } = (await shell(["bash"], program))!;
  assertEquals(out.split("\n").slice(0, -1), cases.map(([, expected]) => expected));
});
