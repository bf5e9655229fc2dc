import { assertEquals } from "@std/assert";
import { graceAfter, hookTarget, preStopOf } from "../../../../agent/model/hook.ts";
import type { ObservedContainer } from "../../../../agent/model/observed.ts";
import type { Pod } from "../../../../agent/model/gen/v1.ts";

Deno.test("lifecycle hooks: exec runs its words as they are, sleep sleeps, tcpSocket and httpGet ask the pod", () => {
  const ports = [{ name: "web", containerPort: 8080 }];
  const target = (handler: Parameters<typeof hookTarget>[0]["handler"]) =>
    hookTarget({ handler, ports }, "10.0.0.5");
  assertEquals(target({ exec: { command: ["echo", "$(NAME)"] } }), {
    kind: "exec",
    command: ["echo", "$(NAME)"],
  });
  assertEquals(target({ sleep: { seconds: 3 } }), { kind: "sleep", seconds: 3 });
  assertEquals(target({ tcpSocket: { port: "web" } }), { kind: "tcp", host: "10.0.0.5", port: 8080 });
  const httpHeaders = [{ name: "X-Why", value: "stop" }];
  assertEquals(
    target({ httpGet: { port: "web", path: "/bye", scheme: "HTTPS", host: "example.org", httpHeaders } }),
    {
      kind: "http",
      url: "https://example.org:8080/bye",
      headers: [{ name: "User-Agent", value: "kube-lifecycle/1.36" }, ...httpHeaders],
      anyStatus: true,
    },
  );
  assertEquals(target({ httpGet: { port: "nothing" } }).kind, "error");
});

Deno.test("a hook is on the account of the grace, but two seconds are left for the stop", () => {
  assertEquals([graceAfter(30, 0), graceAfter(30, 4900), graceAfter(30, 29_500), graceAfter(1, 0)], [
    30,
    26,
    2,
    2,
  ]);
});

Deno.test("the newest manifest's preStop counts; without one the container's own does", () => {
  const c = { name: "a", preStop: { sleep: { seconds: 1 } } } as ObservedContainer;
  const pod = (container: object): Pod => ({ spec: { containers: [{ name: "a", ...container }] } });
  assertEquals(preStopOf(undefined, c)?.handler, { sleep: { seconds: 1 } });
  assertEquals(preStopOf({ spec: { containers: [{ name: "b" }] } }, c)?.handler, { sleep: { seconds: 1 } });
  assertEquals(preStopOf(pod({}), c), undefined);
  assertEquals(preStopOf(pod({ lifecycle: { preStop: { sleep: { seconds: 2 } } } }), c)?.handler, {
    sleep: { seconds: 2 },
  });
});
