import { assertEquals, assertRejects } from "@std/assert";
import { chooseEndpoint } from "../../../../agent/node/runtime_probe.ts";

const FACTS = {
  configured: "",
  managedSocket: "/run/agent/containerd/containerd.sock",
  privateInstance: false,
  managedBefore: false,
};
const NEVER = new AbortController().signal;

function answering(...sockets: string[]) {
  const asked: string[] = [];
  const answers = (socket: string) => {
    asked.push(socket);
    return Promise.resolve(sockets.includes(socket));
  };
  return { asked, answers };
}

Deno.test("a configured endpoint is taken without a question", async () => {
  const { asked, answers } = answering("/run/containerd/containerd.sock");
  for (const configured of ["unix:///run/own.sock", "unix:/run/own.sock", "/run/own.sock"]) {
    const choice = await chooseEndpoint({ ...FACTS, configured, privateInstance: true }, answers, NEVER);
    assertEquals(choice, { kind: "external", endpoint: "/run/own.sock" });
  }
  assertEquals(asked, []);
});

Deno.test("the socket of the agent's own runtime is its own, also where a configuration names it", async () => {
  const { asked, answers } = answering(FACTS.managedSocket);
  const choice = await chooseEndpoint(
    { ...FACTS, configured: `unix://${FACTS.managedSocket}` },
    answers,
    NEVER,
  );
  assertEquals([choice, asked], [{ kind: "managed" }, []]);
});

Deno.test("without one, the first usual socket that answers", async () => {
  const both = answering("/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock");
  assertEquals(await chooseEndpoint(FACTS, both.answers, NEVER), {
    kind: "external",
    endpoint: "/run/crio/crio.sock",
  });
  assertEquals(await chooseEndpoint(FACTS, answering().answers, NEVER), { kind: "managed" });
});

Deno.test("a private instance, and one that had a runtime of its own, never use the machine's", async () => {
  const { asked, answers } = answering("/run/containerd/containerd.sock");
  for (const fact of ["privateInstance", "managedBefore"]) {
    assertEquals(await chooseEndpoint({ ...FACTS, [fact]: true }, answers, NEVER), { kind: "managed" });
  }
  assertEquals(asked, []);
});

Deno.test("a socket that never answers delays the choice by its second, not for ever", async () => {
  const answers = (socket: string, signal: AbortSignal) =>
    socket === "/hangs"
      ? new Promise<boolean>((resolve) => signal.addEventListener("abort", () => resolve(false)))
      : Promise.resolve(true);
  const choice = await chooseEndpoint(FACTS, answers, NEVER, ["/hangs", "/lives"]);
  assertEquals(choice, { kind: "external", endpoint: "/lives" });
  await assertRejects(() =>
    chooseEndpoint(FACTS, answers, AbortSignal.abort(new Error("leaving")), ["/hangs"])
  );
});
