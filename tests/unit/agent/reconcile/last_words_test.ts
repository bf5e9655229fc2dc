/** What ended containers said: their message, else their log; read once, and never what lies elsewhere. */
import { assertEquals, assertMatch } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";
import {
  emptyObservation,
  type ObservedContainer,
  type ObservedPod,
} from "../../../../agent/model/observed.ts";
import { readLastWords } from "../../../../agent/reconcile/last_words.ts";

const pod = (terminationMessagePolicy?: string): Pod => ({
  spec: {
    containers: [{
      name: "c",
      ...(terminationMessagePolicy === undefined ? {} : { terminationMessagePolicy }),
    }],
  },
});
const falling = pod("FallbackToLogsOnError");

const ended = (logPath: string, more: Partial<ObservedContainer> = {}): ObservedPod => ({
  ...emptyObservation("u", "default", "p"),
  containers: [{
    id: "id",
    name: "c",
    sandboxId: "box",
    attempt: 0,
    state: "exited",
    exitCode: 1,
    createdAt: 1,
    image: "",
    imageRef: "",
    hash: "",
    backOff: 0,
    graceSeconds: 30,
    logPath,
    ...more,
  }],
});

async function withLogs(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/0.log`, "2026-01-02T03:04:05Z stderr F no such file\n");
    await run(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const read = async (
  directory: string,
  p: Pod,
  o: ObservedPod,
  message: () => Promise<string | undefined> = () => Promise.resolve(undefined),
  known = new Map<string, string>(),
) => {
  const options = {
    host: createHost(),
    storage: { terminationMessage: message },
    logs: { podLogsDir: directory },
  };
  return (await readLastWords(options, p, o, known)).get("id");
};

Deno.test("terminationMessagePolicy: the log stands in for a message that an error left unsaid", () =>
  withLogs(async (directory) => {
    const o = ended(`${directory}/0.log`);
    assertEquals(await read(directory, falling, o), "no such file\n");
    assertEquals(await read(directory, falling, o, () => Promise.resolve("said")), "said");
    assertEquals(await read(directory, pod(), o), "");
    assertEquals(await read(directory, falling, ended(`${directory}/0.log`, { exitCode: 0 })), "");
    assertEquals(
      await read(directory, falling, ended(`${directory}/0.log`, { state: "running" })),
      undefined,
    );
    assertEquals(await read(directory, falling, ended(`${directory}/gone.log`)), "");
  }));

Deno.test("a log that is a link, a pipe, or lies outside the pods' logs stands in for nothing", () =>
  withLogs(async (directory) => {
    await Deno.mkdir(`${directory}/pods`);
    await Deno.symlink(`${directory}/0.log`, `${directory}/pods/link.log`);
    await new Deno.Command("mkfifo", { args: [`${directory}/pods/fifo.log`] }).output();
    for (const path of ["pods/link.log", "pods/fifo.log", "0.log", "pods/../0.log"]) {
      assertEquals(await read(`${directory}/pods`, falling, ended(`${directory}/${path}`)), "", path);
    }
  }));

Deno.test("words are read once for each container, and what cannot be read is said", () =>
  withLogs(async (directory) => {
    const o = ended(`${directory}/0.log`);
    const broken = () => Promise.reject(new Error("EIO"));
    assertEquals(await read(directory, falling, o, broken, new Map([["id", "known"]])), "known");
    assertMatch(
      await read(directory, falling, o, broken) ?? "",
      /^Error on reading termination message: EIO$/,
    );
  }));
