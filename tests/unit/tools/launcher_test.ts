// The self-extracting file: where it unpacks, that racing starts agree, that damage is repaired, and that nothing of the
// start shows in the program. A shell script plays the runtime, which keeps the file small; the real one is proved by
// each build and end to end.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { packSelfExtracting } from "../../../tools/package_self.ts";

// It says what it was given; `exit N` and `wait` are for exit codes and signals. Called as kubelet it has no command.
const RUNTIME = `#!/bin/sh
while [ "\${1#*agent-0.0.9-}" = "$1" ]; do shift; done
program=$1; shift
[ "\${AGENT_CALLED##*/} $1" != "kubelet version" ] || exit 2
case $1 in
  exit) exit "$2" ;;
  wait) trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done ;;
esac
echo "program=$(tail -n 1 "$program") base=\${program%/*} umask=$(umask) pid=$$ stdin=$(cat) args=$(printf '<%s>' "$@")"
`;

interface Ran {
  code: number;
  out: string;
  err: string;
}

interface Setup {
  file: string;
  directory: string;
  /** Runs the file, or with `shell` a script that finds it as `$agent`, in an environment of just these variables. */
  run(env: Record<string, string>, args: string[], shell?: string): Promise<Ran>;
}

const target = Deno.build.target;

async function withFile(body: (setup: Setup) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "launcher-" });
  try {
    const runtime = join(directory, "runtime");
    const file = join(directory, "agent");
    await Deno.writeTextFile(runtime, RUNTIME, { mode: 0o755 });
    await packSelfExtracting({
      target,
      bundle: "THE PROGRAM",
      stamp: { version: "0.0.9", commit: "none", target },
      flags: ["-A", "--v8-flags=--one,--two"],
      cacheDir: join(directory, "cache"),
      out: file,
      runtime,
    });
    await body({ file, directory, run: (env, args, shell) => start(file, env, args, shell) });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function start(
  file: string,
  env: Record<string, string>,
  args: string[],
  shell?: string,
): Promise<Ran> {
  const variables = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", agent: file, ...env };
  const command = shell === undefined
    ? new Deno.Command(file, { args, env: variables, clearEnv: true, stdin: "null" })
    : new Deno.Command("/bin/sh", {
      args: ["-c", shell, ...args],
      env: variables,
      clearEnv: true,
      stdin: "null",
    });
  const { code, stdout, stderr } = await command.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** Files under a directory with mode and time, but for the runtime's own cache. */
async function listing(directory: string): Promise<string> {
  const args = [directory, "-printf", "%P %m %s %T@\\n"];
  const { stdout } = await new Deno.Command("find", { args }).output();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => / [45]00 /.test(line)).sort().join(
    "\n",
  );
}

Deno.test("it unpacks privately, passes arguments as they are, and leaves the umask alone", () =>
  withFile(async ({ run, directory }) => {
    const base = join(directory, "un packed");
    const args = ["get", "a b", "", "it's", "*", "--", "-x"];
    for (const _start of ["first", "later"]) {
      const { code, out, err } = await run({ AGENT_UNPACK_DIR: base }, args, 'umask 027; "$agent" "$0" "$@"');
      assertEquals({ code, err }, { code: 0, err: "" });
      assertStringIncludes(out, `program=THE PROGRAM base=${base} umask=0027`);
      assertStringIncludes(out, "args=<get><a b><><it's><*><--><-x>");
    }
    assertEquals((Deno.statSync(base).mode ?? 0) & 0o7777, 0o700);
    assertEquals((await listing(base)).split("\n").length, 2);
  }));

Deno.test("it unpacks also when it is started first by another name", () =>
  withFile(async ({ run, directory }) => {
    const env = { AGENT_UNPACK_DIR: join(directory, "u"), kubelet: join(directory, "kubelet") };
    const { code, out } = await run(env, ["--version"], 'ln -s "$agent" "$kubelet" && "$kubelet" "$0"');
    assertEquals(code, 0);
    assertStringIncludes(out, "args=<--version>");
  }));

Deno.test("standard input reaches the program on the first start, too", () =>
  withFile(async ({ run, directory }) => {
    const { out } = await run({ AGENT_UNPACK_DIR: join(directory, "u") }, [], 'echo hello | "$agent" x');
    assertStringIncludes(out, "stdin=hello ");
  }));

Deno.test("exit codes and signals pass, on the first start and later; the process stays the same", () =>
  withFile(async ({ run, directory, file }) => {
    const env = { AGENT_UNPACK_DIR: join(directory, "u") };
    assertEquals((await run(env, ["exit", "42"])).code, 42);
    assertEquals((await run(env, ["exit", "0"])).code, 0);
    const child = new Deno.Command(file, { args: ["wait"], env, stdout: "piped", stdin: "null" }).spawn();
    const reader = child.stdout.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "ready\n");
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 7);
    await reader.cancel();
  }));

Deno.test("eight racing first starts agree", () =>
  withFile(async ({ run, directory }) => {
    const base = join(directory, "u");
    const starts = Array.from({ length: 8 }, () => run({ AGENT_UNPACK_DIR: base }, ["x"]));
    for (const { code, out, err } of await Promise.all(starts)) {
      assertEquals({ code, err }, { code: 0, err: "" });
      assertStringIncludes(out, "program=THE PROGRAM");
    }
    assertEquals([...Deno.readDirSync(base)].filter((entry) => entry.name.startsWith(".new")), []);
  }));

Deno.test("damage is repaired: truncated, changed, loosened, removed, replaced by a link", () =>
  withFile(async ({ run, directory }) => {
    const base = join(directory, "u");
    const env = { AGENT_UNPACK_DIR: base };
    await run(env, ["x"]);
    const whole = await listing(base);
    const names = whole.split("\n").map((line) => line.split(" ")[0] ?? "");
    const paths = {
      b: base,
      program: join(base, names.find((name) => name.endsWith(".js")) ?? ""),
      runtime: join(base, names.find((name) => name.endsWith("/agent")) ?? ""),
    };
    const damages: Record<string, string> = {
      "program truncated": `chmod 600 $program; : > $program; chmod 400 $program`,
      "program changed, same size": `chmod 600 $program; sed -i s/THE/EHT/ $program; chmod 400 $program`,
      "runtime changed": `chmod 700 $runtime; echo evil >> $runtime; chmod 500 $runtime`,
      "runtime writable": `chmod 777 $runtime`,
      "runtime removed": `rm -r \${runtime%/*}`,
      "program a link": `mv $program $b/elsewhere; chmod 600 $b/elsewhere; ln -s elsewhere $program`,
      "program removed": `rm $program $b/elsewhere`,
      "directory open to all": `chmod 777 $b`,
    };
    for (const [name, damage] of Object.entries(damages)) {
      assertEquals((await run(paths, [], `set -e; ${damage}`)).err, "", name);
      const { code, out, err } = await run(env, ["x"]);
      assertEquals({ name, code, err }, { name, code: 0, err: "" });
      assertStringIncludes(out, "program=THE PROGRAM", name);
      assertEquals(await listing(base), whole, name);
      assertEquals((Deno.statSync(base).mode ?? 0) & 0o777, 0o700, name);
    }
  }));

Deno.test("a later start writes nothing", () =>
  withFile(async ({ run, directory }) => {
    const base = join(directory, "u");
    await run({ AGENT_UNPACK_DIR: base }, ["x"]);
    const times = () => new Deno.Command("find", { args: [base, "-printf", "%P %i %C@\\n"] }).output();
    const before = (await times()).stdout;
    await run({ AGENT_UNPACK_DIR: base }, ["x"]);
    assertEquals((await times()).stdout, before);
  }));

Deno.test("what dead starts and old releases left is swept, what lives is kept", () =>
  withFile(async ({ run, directory }) => {
    const base = join(directory, "u");
    await Deno.mkdir(join(base, "deno-0.0.1-old"), { recursive: true });
    await Deno.mkdir(join(base, "deno-0.0.2-busy"));
    await Deno.copyFile("/bin/sleep", join(base, "deno-0.0.2-busy/agent"));
    const busy = new Deno.Command(join(base, "deno-0.0.2-busy/agent"), { args: ["60"] }).spawn();
    try {
      const gone = await new Deno.Command("/bin/sh", { args: ["-c", "echo $$"] }).output();
      const deadPid = new TextDecoder().decode(gone.stdout).trim();
      await Deno.writeTextFile(join(base, `.new-${deadPid}-x`), "half");
      await Deno.writeTextFile(join(base, `.new-${Deno.pid}-x`), "half");
      assertEquals((await run({ AGENT_UNPACK_DIR: base }, ["x"])).code, 0);
      const names = [...Deno.readDirSync(base)].map((entry) => entry.name);
      assert(!names.includes("deno-0.0.1-old") && names.includes("deno-0.0.2-busy"), names.join());
      assertEquals(names.filter((name) => name.startsWith(".new")), [`.new-${Deno.pid}-x`]);
    } finally {
      busy.kill("SIGKILL");
      await busy.status;
    }
  }));

Deno.test("without a usable directory it says which were tried and why", () =>
  withFile(async ({ run }) => {
    const { code, err } = await run({ AGENT_UNPACK_DIR: "/proc/agent" }, ["x"]);
    assertEquals(code, 126);
    assertMatch(err, /set AGENT_UNPACK_DIR\n {2}cannot make \/proc\/agent a private directory/);
  }));

Deno.test("a damaged file says so and starts nothing", () =>
  withFile(async ({ run, directory, file }) => {
    await Deno.truncate(file, (await Deno.stat(file)).size - 20);
    const { code, err } = await run({ AGENT_UNPACK_DIR: join(directory, "u") }, ["x"]);
    assertEquals(code, 126);
    assertStringIncludes(err, "is damaged");
  }));

Deno.test({
  name: "a user without HOME, or with one that cannot be written, gets a private directory under TMPDIR",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withFile(async ({ run, directory }) => {
      await Deno.chmod(directory, 0o755);
      await Deno.mkdir(join(directory, "tmp"));
      await Deno.chmod(join(directory, "tmp"), 0o1777);
      const asNobody = 'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$agent" x';
      for (const home of [{}, { HOME: "/proc" }]) {
        const { code, out, err } = await run({ TMPDIR: join(directory, "tmp"), ...home }, [], asNobody);
        assertEquals({ code, err }, { code: 0, err: "" });
        assertStringIncludes(out, `base=${directory}/tmp/agent-bin-65534 `);
      }
    }),
});

Deno.test({
  name: "a directory that somebody else prepared is not trusted",
  ignore: Deno.uid() !== 0,
  fn: () =>
    withFile(async ({ run, directory }) => {
      const base = join(directory, "u");
      await run({ AGENT_UNPACK_DIR: base }, ["x"]);
      await new Deno.Command("chown", { args: ["-R", "65534", base] }).output();
      const { code, err } = await run({ AGENT_UNPACK_DIR: base }, ["x"]);
      assertEquals(code, 126);
      assertStringIncludes(err, "private directory");
    }),
});
