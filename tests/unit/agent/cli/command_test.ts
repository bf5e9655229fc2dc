import { assertEquals, assertThrows } from "@std/assert";
import { type Command, parseCommandLine, UsageError } from "../../../../agent/cli/command.ts";

const command: Command = {
  name: "try",
  summary: "",
  arguments: [
    { name: "KIND", required: true, values: ["pods", "events"] },
    { name: "NAME", required: false, repeated: true },
  ],
  flags: [
    { name: "output", short: "o", kind: "text", summary: "", values: ["json", "yaml"] },
    { name: "filename", short: "f", kind: "text", summary: "", repeated: true },
    { name: "watch", short: "w", kind: "boolean", summary: "" },
    { name: "tail", kind: "number", summary: "" },
    { name: "since", kind: "duration", summary: "" },
  ],
  examples: [],
  run: () => Promise.resolve(0),
};

const parse = (...argv: string[]) => parseCommandLine(command, argv);

Deno.test("flags are taken in every form that kubectl's users type", () => {
  for (const argv of [["-o", "json"], ["-ojson"], ["-o=json"], ["--output", "json"], ["--output=json"]]) {
    assertEquals(parse("pods", ...argv).text("output"), "json", argv.join(" "));
  }
  const args = parse(
    "pods",
    "web",
    "007",
    "-w",
    "--tail=-1",
    "--since",
    "1m30s",
    "-f",
    "a",
    "-f",
    "-",
    "--",
    "-x",
  );
  assertEquals(args.positional, ["pods", "web", "007", "-x"]);
  assertEquals([args.is("watch"), args.number("tail"), args.duration("since")], [true, -1, 90_000]);
  assertEquals(args.texts("filename"), ["a", "-"]);
});

Deno.test("a boolean can be set, unset, and not spoken of", () => {
  const read = (...argv: string[]) => parse("pods", ...argv).boolean("watch");
  assertEquals([read(), read("-w"), read("--watch=true"), read("--watch=false"), read("--watch=0")], [
    ...[undefined, true, true, false, false],
  ]);
});

Deno.test("what is typed wrongly is told with what was expected", () => {
  const cases: [string[], string][] = [
    [["pods", "--ouput", "json"], 'unknown flag --ouput of "agent try"; did you mean "--output"?'],
    [["pods", "-x"], 'unknown flag -x of "agent try"'],
    [["pods", "-o", "jason"], '--output: expected one of json, yaml, found "jason"; did you mean "json"?'],
    [["pods", "--output"], '--output: expected a value (--output VALUE), found ""'],
    [["pods", "-ojson", "-oyaml"], "--output: given 2 times"],
    [["pods", "--tail", "many"], '--tail: expected a whole number, found "many"'],
    [["pods", "--since=never"], '--since: expected a duration such as 90s, 5m or 1h, found "never"'],
    [["pods", "--watch=maybe"], '--watch: expected true or false, found "maybe"'],
    [[], '"agent try" needs KIND'],
    [["pod"], 'KIND: expected one of pods, events, found "pod"; did you mean "pods"?'],
  ];
  for (const [argv, message] of cases) {
    assertEquals(assertThrows(() => parse(...argv), UsageError).message, message, argv.join(" "));
  }
});

Deno.test("help needs nothing else", () => assertEquals(parse("--help").is("help"), true));
