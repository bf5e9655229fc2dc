import { assertEquals } from "@std/assert";
import { AgentError } from "../../../../agent/model/errors.ts";
import { reservedFor, shortMessage, toAgentError, toPullError } from "../../../../plugins/cri/errors.ts";
import { Code, RpcError } from "../../../../plugins/rpc/mod.ts";

const running = new AbortController().signal;

Deno.test("shortMessage: the wrappers go, the words stay", () => {
  assertEquals(
    shortMessage(
      'rpc error: code = Unknown desc = failed: rpc error: code = NotFound desc = "a" not found: unknown',
    ),
    'failed: "a" not found',
  );
});

Deno.test("toAgentError: the connection's and the caller's failures are not the effect's", () => {
  const reason = (code: typeof Code[keyof typeof Code], text = "x") => {
    const error = toAgentError(new RpcError(code, text), "RunContainerError", running);
    return [error.reason, error.message];
  };
  assertEquals(reason(Code.UNKNOWN, "no such file: unknown"), ["RunContainerError", "no such file"]);
  assertEquals(reason(Code.UNAVAILABLE), ["RuntimeUnavailable", "x"]);
  assertEquals(reason(Code.UNKNOWN, "server is not initialized yet")[0], "RuntimeUnavailable");
  assertEquals(reason(Code.DEADLINE_EXCEEDED)[0], "DeadlineExceeded");
  assertEquals(
    toAgentError(new RpcError(Code.CANCELLED, "x"), "Unknown", AbortSignal.abort()).reason,
    "Aborted",
  );
  const own = new AgentError("CreateContainerConfigError", "x");
  assertEquals(toAgentError(own, "CreateContainerError", running), own);
});

Deno.test("toPullError: an impossible name is not tried again", () => {
  const pull = (text: string) => {
    const error = toPullError(new RpcError(Code.UNKNOWN, text), running);
    return [error.reason, error.retry];
  };
  assertEquals(pull('failed to resolve reference "a/b:1": not found'), ["ErrImagePull", true]);
  assertEquals(pull("failed to parse image reference: invalid reference format"), [
    "InvalidImageName",
    false,
  ]);
  assertEquals(toPullError(new RpcError(Code.UNAVAILABLE, "x"), running).reason, "RuntimeUnavailable");
});

Deno.test("reservedFor: the id that holds a name, in containerd's and CRI-O's words", () => {
  const id = "0123456789abcdef".repeat(4);
  assertEquals(
    reservedFor(new Error(`failed to reserve sandbox name "a": name "a" is reserved for "${id}"`)),
    id,
  );
  assertEquals(reservedFor(new Error(`the name "k8s_a" is reserved for id ${id}`)), id);
  assertEquals(reservedFor(new Error("the disk is full")), undefined);
});
