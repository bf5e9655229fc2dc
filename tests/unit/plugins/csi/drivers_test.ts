/** The driver is the tests' real one, a process of its own; nothing here mounts. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { CsiDriver, FoundPlugin } from "../../../../agent/plugin_ports.ts";
import { CsiError, mayHaveHappened } from "../../../../agent/model/csi_error.ts";
import { AgentError } from "../../../../agent/model/errors.ts";
import { createCsiDrivers } from "../../../../plugins/csi/mod.ts";
import { validate } from "../../../../plugins/csi/drivers.ts";
import { type CsiDriverProcess, startCsiDriver } from "../../../drivers/csi/start.ts";

const never = new AbortController().signal;

const found = (more: Partial<FoundPlugin> = {}): FoundPlugin => ({
  kind: "CSIPlugin",
  name: "test.csi.example",
  endpoint: "/nowhere",
  versions: ["1.0.0"],
  socket: "/registry/test.sock",
  ...more,
});

async function withDriver(
  test: (driver: CsiDriverProcess, taken: ReturnType<typeof createCsiDrivers>) => Promise<void>,
  options: Parameters<typeof startCsiDriver>[1] = {},
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "agent-csi-" });
  const leave = new AbortController();
  try {
    await using driver = await startCsiDriver(directory, options);
    await test(driver, createCsiDrivers({ timeoutMs: 500 }, leave.signal));
  } finally {
    leave.abort();
    await Deno.remove(directory, { recursive: true });
  }
}

const capability = {
  fsType: "ext4",
  block: false,
  mountFlags: ["noatime"],
  accessMode: "SINGLE_NODE_WRITER",
} as const;

const wanted = (name: string) => ({
  name,
  requiredBytes: 2 ** 20,
  limitBytes: 0,
  capabilities: [capability],
  parameters: { kind: "directory" },
  secrets: { password: "s3cr3t" },
  topology: undefined,
});

async function registered(
  driver: CsiDriverProcess,
  { taker, drivers }: ReturnType<typeof createCsiDrivers>,
): Promise<CsiDriver> {
  await taker.register(found({ endpoint: driver.socket }), AbortSignal.timeout(10_000));
  return drivers.driver(driver.name)!;
}

Deno.test("versions 1.x are taken; a name is refused while a driver of a higher or equal version has it", () => {
  validate(found({ versions: ["0.3.0", "v1.2.0", "2.0.0"] }), undefined);
  for (const versions of [[], ["0.3.0"], ["2.0.0"], ["one"]]) {
    assertThrows(() => validate(found({ versions }), undefined), AgentError, "expected 1.x");
  }
  for (const name of ["", "a/b", "../x", "-a", "a".repeat(64)]) {
    assertThrows(() => validate(found({ name }), undefined), AgentError, "its name must be");
  }
  const other = found({ socket: "/registry/other.sock", versions: ["1.1.0"] });
  assertThrows(() => validate(found(), other), AgentError, 'a higher supported version: "1.1.0"');
  validate(found({ versions: ["1.2"] }), other);
  validate(found(), found({ versions: ["1.9.0"] }));
});

Deno.test("a driver is asked who it is, what it can and where it is, before it counts as registered", async () => {
  await withDriver(async (driver, { taker, drivers }) => {
    const told: string[] = [];
    drivers.subscribe((name) => told.push(name), never);
    await taker.register(found({ endpoint: driver.socket }), AbortSignal.timeout(10_000));
    assertEquals(drivers.driver(driver.name)?.facts, {
      name: driver.name,
      version: "1.0",
      nodeId: "box-1",
      maxVolumesPerNode: 7,
      topology: { zone: "here" },
      stages: true,
      hasStats: true,
      expandsOnNode: true,
      singleNodeMultiWriter: true,
      volumeMountGroup: false,
      creates: true,
      publishes: true,
      expands: true,
    });
    taker.deregister(found({ socket: "/registry/other.sock" }));
    assertEquals(drivers.all().length, 1);
    taker.deregister(found());
    assertEquals([drivers.driver(driver.name), told], [undefined, [driver.name, driver.name]]);
  }, { nodeId: "box-1", maxVolumes: 7, topology: { zone: "here" }, without: ["VOLUME_MOUNT_GROUP"] });
});

Deno.test("a driver without controller service can nothing that needs one", async () => {
  await withDriver(async (driver, taken) => {
    const { facts } = await registered(driver, taken);
    assertEquals([facts.creates, facts.publishes, facts.expands, facts.stages], [false, false, false, true]);
  }, { nodeOnly: true });
});

Deno.test("a driver of another name, one that is not ready, and one that does not answer are refused", async () => {
  await withDriver(async (driver, { taker, drivers }) => {
    const register = (more: Partial<FoundPlugin>) =>
      taker.register(found({ endpoint: driver.socket, ...more }), AbortSignal.timeout(10_000));
    await assertRejects(
      () => register({ name: "other" }),
      AgentError,
      'GetPluginInfo says "test.csi.example"',
    );
    await assertRejects(() => register({}), AgentError, "not ready yet");
    await driver.knobs({ Probe: { fail: { code: "UNIMPLEMENTED" } }, NodeGetInfo: { hang: true } });
    await assertRejects(() => register({}), CsiError, "code = DeadlineExceeded");
    await assertRejects(() => register({ endpoint: "/nowhere" }), CsiError, "code = Unavailable");
    assertEquals(drivers.all(), []);
  }, { ready: false });
});

Deno.test("calls carry everything to the driver, and its answers back; doing them twice is the same", async () => {
  await withDriver(async (driver, taken) => {
    const csi = await registered(driver, taken);
    const made = await csi.createVolume({ ...wanted("pvc-1"), topology: { zone: "here" } }, never);
    assertEquals(await csi.createVolume(wanted("pvc-1"), never), made);
    assertEquals([made.capacity, made.context, made.topology], [2 ** 20, { from: "pvc-1" }, [{
      zone: "here",
    }]]);
    const published = await csi.controllerPublish(
      { id: made.id, capability, readonly: true, secrets: { a: "b" }, context: made.context },
      never,
    );
    assertEquals(published, { attachment: `${made.id} on this-node` });
    const [call] = await driver.calls("ControllerPublishVolume");
    assertEquals(call?.request, {
      volumeId: made.id,
      nodeId: "this-node",
      volumeCapability: {
        mount: { fsType: "ext4", mountFlags: ["noatime"], volumeMountGroup: "" },
        accessMode: { mode: 1 },
      },
      readonly: true,
      secrets: { a: "b" },
      volumeContext: { from: "pvc-1" },
    });
    assertEquals((await driver.calls("CreateVolume"))[0]?.request["secrets"], { password: "s3cr3t" });
    const grown = await csi.controllerExpand(
      { id: made.id, requiredBytes: 2 ** 21, limitBytes: 0, capability, secrets: {} },
      never,
    );
    assertEquals(grown, { capacity: 2 ** 21, nodeExpansionRequired: false });
    await csi.controllerUnpublish(made.id, {}, never);
    await csi.deleteVolume(made.id, {}, never);
    await csi.deleteVolume(made.id, {}, never);
    await csi.controllerUnpublish(made.id, {}, never); // NOT_FOUND is as good as done
  }, { topology: { zone: "here" } });
});

Deno.test("what failed for certain and what nobody can know are told apart; hopeless requests are not repeated", async () => {
  await withDriver(async (driver, taken) => {
    const csi = await registered(driver, taken);
    const outcome = async (code: string) => {
      await driver.knobs({
        CreateVolume: { fail: { code: code as "ABORTED", message: `a\n\u001bb ${code}` } },
      });
      const error = await assertRejects(() => csi.createVolume(wanted("x"), never), CsiError);
      assert(!error.message.includes("s3cr3t"));
      return [error.uncertain, error.retry, error.message];
    };
    const said = (name: string, code: string) => `rpc error: code = ${name} desc = a b ${code}`;
    assertEquals(await outcome("ABORTED"), [true, true, said("Aborted", "ABORTED")]);
    assertEquals(await outcome("RESOURCE_EXHAUSTED"), [
      true,
      true,
      said("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ]);
    assertEquals(await outcome("UNAVAILABLE"), [true, true, said("Unavailable", "UNAVAILABLE")]);
    assertEquals(await outcome("FAILED_PRECONDITION"), [
      false,
      true,
      said("FailedPrecondition", "FAILED_PRECONDITION"),
    ]);
    assertEquals(await outcome("INTERNAL"), [false, true, said("Internal", "INTERNAL")]);
    assertEquals(await outcome("INVALID_ARGUMENT"), [
      false,
      false,
      said("InvalidArgument", "INVALID_ARGUMENT"),
    ]);
    assertEquals(await outcome("OUT_OF_RANGE"), [false, false, said("OutOfRange", "OUT_OF_RANGE")]);
  });
});

Deno.test("a call that hangs ends at its deadline, one that is cancelled at once, and both may have happened", async () => {
  await withDriver(async (driver, taken) => {
    const csi = await registered(driver, taken);
    await driver.knobs({ CreateVolume: { hangAfter: true } });
    const late = await assertRejects(
      () => csi.createVolume(wanted("late"), never),
      CsiError,
      "DeadlineExceeded",
    );
    assert(mayHaveHappened(late));
    const left = new AbortController();
    const cut = assertRejects(() => csi.createVolume(wanted("cut"), left.signal), CsiError);
    await driver.untilCalled("CreateVolume", 2);
    left.abort();
    assertEquals([mayHaveHappened(await cut), (await cut).reason], [true, "Aborted"]);
    await driver.knobs({});
    assertEquals((await csi.createVolume(wanted("late"), never)).context, { from: "late" });
  });
});

Deno.test("calls about one volume never overlap, those about others do not wait for them", async () => {
  await withDriver(async (driver, taken) => {
    const csi = await registered(driver, taken);
    await driver.knobs({ DeleteVolume: { late: 100 } });
    const gone = (id: string) => csi.deleteVolume(id, {}, never);
    await Promise.all([gone("vol-1"), gone("vol-1"), gone("vol-1"), gone("vol-2")]);
    const calls = await driver.calls("DeleteVolume");
    const phases = (id: string) => calls.filter((c) => c.request["volumeId"] === id).map((c) => c.phase);
    assertEquals(phases("vol-1"), ["begin", "end", "begin", "end", "begin", "end"]);
    const second = calls.findIndex((c) => c.request["volumeId"] === "vol-2" && c.phase === "begin");
    assert(second < calls.findIndex((c) => c.phase === "end"), "the other volume waited");
  });
});

Deno.test("a driver that crashes fails the call, which may have happened; its next life is used without a word", async () => {
  await withDriver(async (driver, taken) => {
    const csi = await registered(driver, taken);
    await driver.knobs({ CreateVolume: { crash: "after" } });
    const error = await assertRejects(() => csi.createVolume(wanted("once"), never), CsiError);
    assert(mayHaveHappened(error));
    const nobody = await assertRejects(() => csi.createVolume(wanted("once"), never), CsiError);
    assertStringIncludes(nobody.message, "code = Unavailable");
    await driver.knobs({});
    await driver.start();
    const made = await csi.createVolume(wanted("once"), never);
    assertEquals((await driver.calls("CreateVolume")).filter((c) => c.phase === "begin").length, 2);
    assertEquals(made.context, { from: "once" });
  });
});
