/** The kubelet's mapping of paths to what must be allowed. */
import { assertEquals } from "@std/assert";
import { accessOf } from "../../../../agent/model/kubelet_access.ts";

const expected: [method: string, path: string, verb: string, subresources: string[]][] = [
  ["GET", "/pods", "get", ["pods", "proxy"]],
  ["GET", "/pods/", "get", ["pods", "proxy"]],
  ["GET", "/runningpods/", "get", ["pods", "proxy"]],
  ["GET", "/healthz/ping", "get", ["healthz", "proxy"]],
  ["GET", "/configz", "get", ["configz", "proxy"]],
  ["GET", "/stats/summary", "get", ["stats"]],
  ["GET", "/metrics/cadvisor", "get", ["metrics"]],
  ["GET", "/logs/syslog", "get", ["log"]],
  ["POST", "/checkpoint/default/web/main", "create", ["checkpoint"]],
  ["POST", "/exec/default/web/main", "create", ["proxy"]],
  ["GET", "/exec/default/web/main", "get", ["proxy"]],
  ["GET", "/containerLogs/default/web/main", "get", ["proxy"]],
  ["GET", "/podsx", "get", ["proxy"]],
  ["GET", "/metricsx/../exec", "get", ["proxy"]],
  ["PUT", "/debug/flags/v", "update", ["proxy"]],
  ["DELETE", "/", "delete", ["proxy"]],
  ["HEAD", "/pods", "", ["pods", "proxy"]],
];

for (const [method, path, verb, subresources] of expected) {
  Deno.test(`${method} ${path} needs ${verb} of ${subresources.join(" or ")}`, () => {
    assertEquals(accessOf(method, path), { verb, subresources });
  });
}
