// `deno task ok|test|e2e|chaos|gpu`: runs the stages of a plan one after the other, shows what each prints, and ends with
// one line, `N passed, N failed`. The exit status is 1 when anything failed. Not for writing tests; they lie under tests/.

// deno-lint-ignore-file no-console
import { join } from "@std/path";
import { root } from "./build_request.ts";
import { addTallies, listFailures, parseJunit, type Tally, tallyExit } from "./tally.ts";

interface TestRun {
  readonly tests: readonly string[];
  /** Arguments for `deno test` besides. */
  readonly with?: readonly string[];
}

interface Stage {
  readonly name: string;
  readonly plans: readonly Plan[];
  /** A command that passes or fails as one, or directories of tests that are counted one by one. */
  readonly run: { readonly deno: readonly string[] } | TestRun;
  readonly env?: Readonly<Record<string, string>>;
  /** After this the stage is stopped and has failed. */
  readonly minutes: number;
}

const PLANS = ["ok", "test", "e2e", "chaos", "gpu"] as const;
type Plan = (typeof PLANS)[number];

const SOURCES = ["agent", "plugins", "tools", "tests"];
/** The tests that need the built binary find it by this; it unpacks itself beside our caches, not into the system. */
const BINARY = { AGENT_BINARY: join(root, "dist/agent"), AGENT_UNPACK_DIR: join(root, ".cache/unpacked") };

/** These look at the machine's mounts, or at this process's memory and files, or set its umask: others would be in the way. */
const ALONE = [
  "tests/unit/agent/host_test.ts",
  "tests/unit/agent/volumes",
  "tests/unit/agent/cluster/client/watch_test.ts",
  "tests/unit/plugins/registry/hostile_test.ts",
  "tests/unit/plugins/rpc/fuzz_test.ts",
];

/** In the order in which they run: what is quick and likely to fail comes first. */
const STAGES: readonly Stage[] = [
  // The lock file must already name every package; nothing later may change it.
  { name: "packages", plans: ["ok", "test"], run: { deno: ["install", "--frozen"] }, minutes: 3 },
  { name: "format", plans: ["ok", "test"], run: { deno: ["fmt", "--check"] }, minutes: 1 },
  { name: "lint", plans: ["ok", "test"], run: { deno: ["lint"] }, minutes: 1 },
  { name: "types", plans: ["ok", "test"], run: { deno: ["check", ...SOURCES] }, minutes: 6 },
  {
    name: "generated code",
    plans: ["ok", "test"],
    run: { deno: ["run", "-A", "tools/gen.ts", "--check"] },
    minutes: 6,
  },
  { name: "layers", plans: ["ok", "test"], run: { tests: ["tests/layers_test.ts"] }, minutes: 1 },
  {
    name: "unit",
    plans: ["ok", "test"],
    run: {
      tests: ["tests/unit", "tests/golden", "tests/pod_fields"],
      with: ["--parallel", `--ignore=${ALONE.join(",")}`],
    },
    minutes: 15,
  },
  { name: "unit, alone", plans: ["ok", "test"], run: { tests: ALONE }, minutes: 5 },
  { name: "fuzz", plans: ["ok", "test"], run: { tests: ["tests/fuzz"] }, minutes: 6 },
  { name: "contract", plans: ["test"], run: { tests: ["tests/contract"] }, minutes: 10 },
  {
    name: "build",
    plans: ["test", "e2e", "chaos", "gpu"],
    run: { deno: ["run", "-A", "tools/build.ts"] },
    minutes: 6,
  },
  { name: "e2e", plans: ["test", "e2e"], run: { tests: ["tests/e2e"] }, env: BINARY, minutes: 30 },
  { name: "GPUs of this machine", plans: ["gpu"], run: { tests: ["tests/gpu"] }, env: BINARY, minutes: 5 },
  {
    name: "chaos, short",
    plans: ["test"],
    run: { tests: ["tests/chaos"] },
    env: { ...BINARY, CHAOS: "short" },
    minutes: 10,
  },
  {
    name: "chaos",
    plans: ["chaos"],
    run: { tests: ["tests/chaos"] },
    env: { ...BINARY, CHAOS: "full" },
    minutes: 60,
  },
];

/** Whether a path is a test file or a directory that holds one; a stage without any has nothing to run. */
function hasTests(path: string): boolean {
  if (path.endsWith("_test.ts")) return true;
  try {
    return [...Deno.readDirSync(join(root, path))].some((entry) =>
      entry.isDirectory || entry.name.endsWith("_test.ts") ? hasTests(`${path}/${entry.name}`) : false
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Exit status of Deno with these arguments, its output shown; 124 when it took too long. */
async function runDeno(args: readonly string[], stage: Stage): Promise<number> {
  const limit = AbortSignal.timeout(stage.minutes * 60_000);
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env: { ...stage.env },
    stdin: "null",
    signal: limit,
  }).spawn();
  const { code } = await child.status;
  if (!limit.aborted) return code;
  console.error(`${stage.name}: stopped after ${stage.minutes} minutes`);
  return 124;
}

async function runTests(paths: readonly string[], run: TestRun, stage: Stage): Promise<Tally> {
  const report = await Deno.makeTempFile({ prefix: "agent-junit-" });
  try {
    // Types are a stage of their own.
    const args = ["test", "-A", "--no-check", `--junit-path=${report}`, ...run.with ?? [], ...paths];
    const code = await runDeno(args, stage);
    const tally = parseJunit(await Deno.readTextFile(report));
    // A module that cannot be loaded, or a run that was stopped, has no test case to its name.
    return code !== 0 && tally.failed.length === 0 ? addTallies(tally, tallyExit(stage.name, code)) : tally;
  } finally {
    await Deno.remove(report);
  }
}

async function runStage(stage: Stage): Promise<Tally> {
  const paths = "tests" in stage.run ? stage.run.tests.filter(hasTests) : [];
  console.log(`\n== ${stage.name}`);
  if ("deno" in stage.run) return tallyExit(stage.name, await runDeno(stage.run.deno, stage));
  if (paths.length > 0) return await runTests(paths, stage.run, stage);
  console.log(`no tests in ${stage.run.tests.join(", ")}`);
  return { passed: 0, ignored: 0, failed: [] };
}

async function runPlan(plan: Plan): Promise<boolean> {
  let sum: Tally = { passed: 0, ignored: 0, failed: [] };
  for (const stage of STAGES.filter((stage) => stage.plans.includes(plan))) {
    const started = performance.now();
    const tally = await runStage(stage);
    sum = addTallies(sum, tally);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`== ${stage.name}: ${tally.passed} passed, ${tally.failed.length} failed, ${seconds} s`);
  }
  console.log(`\n${listFailures(sum)}${sum.ignored > 0 ? `${sum.ignored} ignored\n` : ""}`);
  console.log(`${sum.passed} passed, ${sum.failed.length} failed`);
  return sum.failed.length === 0;
}

if (import.meta.main) {
  const plan = PLANS.find((name) => name === Deno.args[0]);
  if (plan === undefined) {
    console.error(`usage: tools/test.ts ${PLANS.join("|")}`);
    Deno.exit(2);
  }
  Deno.exit(await runPlan(plan) ? 0 : 1);
}
