import { assert, assertEquals } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { emptyObservation } from "../../../../agent/model/observed.ts";
import {
  linkLog,
  logLinkName,
  removeContainerLogs,
  removePodLogs,
} from "../../../../agent/reconcile/logs.ts";

const host = createHost();
const pod = { metadata: { name: "web", namespace: "default", uid: "u1" } };

Deno.test("logLinkName: the kubelet's name, never longer than a file name may be", () => {
  assertEquals(logLinkName("web", "default", "main", "f00"), "web_default_main-f00.log");
  assertEquals(logLinkName("p".repeat(253), "default", "main", "f00").length, 255);
});

Deno.test("a link leads to the log, goes with its container, and all go with the pod", async () => {
  const root = await Deno.makeTempDir();
  const paths = { podLogsDir: `${root}/pods`, containerLogsDir: `${root}/containers` };
  const links = () => [...Deno.readDirSync(paths.containerLogsDir)].map((e) => e.name).sort();
  const log = `${root}/pods/default_web_u1/main/0.log`;
  for (const id of ["old", "a"]) await linkLog(host, paths, pod, { name: "main", id, attempt: 0 });
  await linkLog(host, paths, pod, { name: "main", id: "a", attempt: 0 });
  assertEquals(links(), ["web_default_main-a.log", "web_default_main-old.log"]);
  await host.mkdir(`${root}/pods/default_web_u1/main`);
  await Deno.writeTextFile(log, "said");
  assertEquals(await Deno.readTextFile(`${paths.containerLogsDir}/web_default_main-a.log`), "said");

  const container = { id: "old", name: "main", logPath: log } as Parameters<typeof removeContainerLogs>[3];
  await removeContainerLogs(host, paths, emptyObservation("u1", "default", "web"), container, false);
  assertEquals(links(), ["web_default_main-a.log"]);
  assert(await host.stat(log) !== undefined, "the log stays");
  await removePodLogs(host, paths, "u1");
  assertEquals([links(), await host.list(paths.podLogsDir)], [[], []]);
  await Deno.remove(root, { recursive: true });
});

Deno.test("a path that the runtime says is removed below the pods' logs only", async () => {
  const root = await Deno.makeTempDir();
  const paths = { podLogsDir: `${root}/pods`, containerLogsDir: `${root}/containers` };
  const own = `${root}/pods/default_web_u1/main/0.log`;
  const others = `${root}/precious/0.log`;
  for (const path of [own, others]) {
    await host.mkdir(path.slice(0, -"/0.log".length));
    await Deno.writeTextFile(path, "said");
  }
  for (const logPath of [own, others, `${root}/pods/../precious/0.log`, ""]) {
    const container = { id: "a", name: "main", logPath } as Parameters<typeof removeContainerLogs>[3];
    await removeContainerLogs(host, paths, emptyObservation("u1", "default", "web"), container, true);
  }
  assertEquals([await host.stat(own), await host.readText(others)], [undefined, "said"]);
  await Deno.remove(root, { recursive: true });
});
