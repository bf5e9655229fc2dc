// Counting: against a report in the form that `deno test` writes, taken from a real run.

import { assertEquals } from "@std/assert";
import { addTallies, listFailures, parseJunit, tallyExit } from "../../../tools/tally.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="5" failures="2" errors="0" time="0.008">
    <testsuite name="./j_test.ts" tests="5" disabled="1" errors="0" failures="2">
        <testcase name="a" classname="./j_test.ts" time="0.001" line="1" col="6">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="says &quot;&lt;failure&gt;&quot;" classname="./j_test.ts" time="0.000" line="2" col="6">
        </testcase>
        <testcase name="c" classname="./j_test.ts" time="0.000" line="2" col="37">
            <skipped/>
        </testcase>
        <testcase name="a &gt; s1" classname="./j_test.ts" time="0.000" line="1" col="39">
        </testcase>
        <testcase name="a &gt; s2 &amp; &lt;" classname="./j_test.ts" time="0.000" line="1" col="69">
            <failure message="Uncaught Error: x">Error: x &lt;skipped/&gt;</failure>
        </testcase>
    </testsuite>
</testsuites>
`;

Deno.test("test cases are counted and failures named", () => {
  assertEquals(parseJunit(REPORT), {
    passed: 2,
    ignored: 1,
    failed: ["./j_test.ts: a", "./j_test.ts: a > s2 & <"],
  });
  assertEquals(parseJunit(""), { passed: 0, ignored: 0, failed: [] });
});

Deno.test("tallies add up, an exit status counts as one", () => {
  const sum = addTallies(addTallies(parseJunit(REPORT), tallyExit("lint", 0)), tallyExit("types", 2));
  assertEquals({ ...sum, failed: sum.failed.length }, { passed: 3, ignored: 1, failed: 3 });
  assertEquals(
    listFailures(sum),
    "FAILED ./j_test.ts: a\nFAILED ./j_test.ts: a > s2 & <\nFAILED types: exit status 2\n",
  );
});
