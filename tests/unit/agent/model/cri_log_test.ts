import { assertEquals } from "@std/assert";
import {
  createLogParser,
  type LogLine,
  parseLogEntry,
  parseLogOptions,
  renderLogLine,
} from "../../../../agent/model/cri_log.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array) => new TextDecoder().decode(content);
const time = "2026-03-01T12:00:00.123456789Z";
const shown = (lines: LogLine[]) => lines.map((line) => [line.stream, text(line.content), line.unfinished]);

Deno.test("a line of the CRI format is taken apart; its content keeps its spaces", () => {
  const entry = parseLogEntry(bytes(`${time} stderr F  two  spaces`))!;
  assertEquals([entry.time, entry.stream, entry.partial, text(entry.content)], [
    time,
    "stderr",
    false,
    " two  spaces",
  ]);
  assertEquals(text(parseLogEntry(bytes(`${time} stdout F `))!.content), "");
  assertEquals(text(parseLogEntry(bytes(`${time} stdout P:x more`))!.content), "more");
});

Deno.test("what is not in the format is no entry", () => {
  for (
    const line of [
      "",
      "x",
      `${time} stdout`,
      `${time} other F x`,
      `yesterday stdout F x`,
      `${time} stdout Q x`,
    ]
  ) {
    assertEquals(parseLogEntry(bytes(line)), undefined, line);
  }
});

Deno.test("parts are joined per stream, wherever the file is cut into chunks", () => {
  const file = bytes(
    `${time} stdout P one \n${time} stderr F err\n${time} stdout P two \n${time} stdout F thr\u00e9e\nrubbish\n${time} stdout P half`,
  );
  const expected = [["stderr", "err", false], ["stdout", "one two thr\u00e9e", false], [
    "stdout",
    "half",
    true,
  ]];
  for (let cut = 0; cut <= file.length; cut++) {
    const parser = createLogParser();
    const lines = [
      ...parser.push(file.subarray(0, cut)),
      ...parser.push(file.subarray(cut)),
      ...parser.end(),
    ];
    assertEquals(shown(lines), expected, `cut at ${cut}`);
  }
});

Deno.test("a line that never ends is shown in pieces", () => {
  const parser = createLogParser();
  const part = bytes(`${time} stdout P ${"x".repeat(16 * 1024)}\n`);
  let lines: LogLine[] = [];
  for (let i = 0; i < 64; i++) lines = [...lines, ...parser.push(part)];
  assertEquals(lines.map((line) => line.content.length), [1024 * 1024]);
  assertEquals(parser.end(), []);
});

Deno.test("a line is rendered with its newline, unless none was written, and with its time when asked for", () => {
  const line = { time, stream: "stdout", content: bytes("hi"), unfinished: false } as const;
  assertEquals(text(renderLogLine(line, false)), "hi\n");
  assertEquals(text(renderLogLine({ ...line, unfinished: true }, true)), `${time} hi`);
});

Deno.test("the query is read with the kubelet's names; every wrong value is named", () => {
  const query = { follow: "true", tailLines: "0", sinceSeconds: "60", limitBytes: "10", previous: "false" };
  assertEquals(parseLogOptions(query, 100_000), {
    options: {
      follow: true,
      timestamps: false,
      previous: false,
      tailLines: 0,
      limitBytes: 10,
      sinceMs: 40_000,
    },
    problems: [],
  });
  const wrong = { follow: "maybe", tailLines: "-1", sinceSeconds: "1", sinceTime: "soon", limitBytes: "1e3" };
  assertEquals(parseLogOptions(wrong, 0).problems.map((problem) => problem.split(":")[0]), [
    "sinceTime",
    "sinceSeconds and sinceTime",
    "tailLines",
    "limitBytes",
    "follow",
  ]);
});
