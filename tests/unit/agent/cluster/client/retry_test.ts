/** When an API server is asked again. */
import { assert, assertEquals } from "@std/assert";
import { ApiError, errorOfAnswer, isExpired } from "../../../../../agent/cluster/client/api_error.ts";
import {
  pauseBefore,
  retryPause,
  watchBackOff,
  watchPause,
} from "../../../../../agent/cluster/client/retry.ts";

const unreachable = new ApiError(0, "Unreachable", "");
const told = errorOfAnswer(429, { kind: "Status", reason: "TooManyRequests", message: "slow down" }, "3");

Deno.test("reads are repeated when there was no answer, writes only when the server says when", () => {
  assertEquals(retryPause(unreachable, { reads: true, attempt: 0 }, 0), 100);
  assertEquals(retryPause(unreachable, { reads: true, attempt: 3 }, 0), undefined);
  assertEquals(retryPause(unreachable, { reads: false, attempt: 0 }, 0), undefined);
  assertEquals(retryPause(told, { reads: false, attempt: 0 }, 0), 3000);
  assertEquals(retryPause(errorOfAnswer(500, "", null), { reads: false, attempt: 0 }, 0), undefined);
  assertEquals(retryPause(errorOfAnswer(503, "", "1"), { reads: false, attempt: 0 }, 0), 1000);
  for (const code of [400, 401, 403, 404, 409, 410, 422]) {
    assertEquals(retryPause(errorOfAnswer(code, "", null), { reads: true, attempt: 0 }, 0), undefined);
  }
});

Deno.test("pauses double up to their limit and are spread over their upper half", () => {
  const pauses = [0, 1, 2, 3, 30].map((attempt) => pauseBefore(attempt, watchBackOff, 0.999999));
  assertEquals(pauses.map(Math.round), [800, 1600, 3200, 6400, 30_000]);
  assertEquals(pauseBefore(30, watchBackOff, 0), 15_000);
  assert(watchPause(told, 0, 0) >= 3000);
});

Deno.test("answers become errors with Kubernetes' reasons, also those of proxies in between", () => {
  const status = { kind: "Status", code: 404, reason: "NotFound", message: 'nodes "x" not found' };
  const found = errorOfAnswer(404, status, null);
  assertEquals([found.code, found.reason, found.message], [404, "NotFound", 'nodes "x" not found']);
  const proxy = errorOfAnswer(503, "<html>no backend</html>", null);
  assertEquals([proxy.reason, proxy.message], ["ServiceUnavailable", "<html>no backend</html>"]);
  assertEquals(errorOfAnswer(500, "x".repeat(9999), null).message.length, 500);
  const details = { kind: "Status", reason: "Timeout", details: { retryAfterSeconds: 1 } };
  assertEquals(errorOfAnswer(504, details, null).retryAfter, 1000);
  assert(isExpired(errorOfAnswer(410, "", null)));
});
