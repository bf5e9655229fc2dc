/** In which order an answer goes out. */
import type http from "node:http";
import { assertEquals } from "@std/assert";
import { send } from "../../../../../agent/api/kubelet/answer.ts";
import { until } from "../../../../fakes/until.ts";

/** Says what it was told; what was written is out when `flush` says so. */
function connection() {
  const told: string[] = [];
  const flushes: (() => void)[] = [];
  const response = {
    req: { method: "GET" },
    writeHead: (status: number) => told.push(`head ${status}`),
    flushHeaders: () => {},
    write(value: Uint8Array, written: () => void) {
      told.push(new TextDecoder().decode(value));
      flushes.push(written);
      return true;
    },
    end: () => told.push("end"),
  } as unknown as http.ServerResponse;
  return { told, response, flush: () => flushes.splice(0).forEach((written) => written()) };
}

Deno.test("the end of an answer is sent after its last bytes are out, or nobody waits for them", async () => {
  const { told, response, flush } = connection();
  const sending = send(response, new Response("log\n"), new AbortController().signal);
  await until("written", () => told.includes("log\n"));
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(told, ["head 200", "log\n"]);
  flush();
  await sending;
  assertEquals(told.at(-1), "end");

  const left = connection();
  const leave = new AbortController();
  const leaving = send(left.response, new Response("log\n"), leave.signal);
  await until("written", () => left.told.includes("log\n"));
  leave.abort();
  await leaving;
});

Deno.test("an answer leaves nothing at a connection's signal, which may see thousands of them", async () => {
  const { response, flush, told } = connection();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const sending = send(response, new Response("log\n"), signal);
  await until("written", () => told.includes("log\n"));
  flush();
  await sending;
  assertEquals(listeners, 0);
});
