// watchDirectories through the real Host: every way in which a directory's view may change gives a hint.
import { assert, assertEquals } from "@std/assert";
import { createHost } from "../../../../agent/host.ts";
import { watchDirectories, type WatchDriver } from "../../../../agent/lib/watch.ts";
import { findWatchPoints } from "../../../../agent/lib/watch_points.ts";

const host = createHost();

/** A watch of `directory`; `next` waits for the first hint since the last call. */
async function watching(
  path: (root: string) => string,
  test: (root: string, next: (after: () => unknown) => Promise<void>, quiet: () => number) => Promise<void>,
): Promise<void> {
  const root = await Deno.realPath(await Deno.makeTempDir({ prefix: "watch-test-" }));
  const controller = new AbortController();
  const hints = host.watch(path(root), controller.signal)[Symbol.asyncIterator]();
  let seen = 0;
  const pull = () => hints.next().then((r) => void (r.done ? undefined : seen++));
  try {
    await pull(); // the first hint: the watch stands
    await test(root, async (change) => {
      const hint = pull();
      await change();
      await hint;
    }, () => seen);
  } finally {
    controller.abort();
    assertEquals((await hints.next()).done, true, "the watch ends with its signal");
    await Deno.remove(root, { recursive: true });
  }
}

const story = (
  name: string,
  path: (root: string) => string,
  test: Parameters<typeof watching>[1],
  ignore = false,
) => Deno.test({ name, ignore, fn: () => watching(path, test) });

const m = (root: string) => `${root}/m`;

story("files written, renamed into place and removed", (root) => root, async (root, next) => {
  await next(() => Deno.writeTextFile(`${root}/a`, "x"));
  await next(async () => {
    await Deno.writeTextFile(`${root}/.b`, "x");
    await Deno.rename(`${root}/.b`, `${root}/a`);
  });
  await next(() => Deno.chmod(`${root}/a`, 0o600));
  await next(() => Deno.remove(`${root}/a`));
});

Deno.test("with `only` nothing but entries of these names concerns the watch, and they do", async () => {
  const root = await Deno.realPath(await Deno.makeTempDir({ prefix: "watch-test-" }));
  const controller = new AbortController();
  try {
    await Deno.mkdir(`${root}/below`);
    const only = (name: string) => name.startsWith("tty");
    const points = await findWatchPoints(root, host, only);
    assertEquals([...points.watched.keys()].filter((path) => path.startsWith(`${root}/`)), []);
    const of = ["ttyUSB0", "null", "below/ttyUSB0"].filter((name) => points.concerns(`${root}/${name}`));
    assertEquals(of, ["ttyUSB0"]);
    assert(points.concerns(root), "its own removal");
    const hints = host.watchPlaces([{ directory: root, only }], controller.signal)[Symbol.asyncIterator]();
    await hints.next();
    const hint = hints.next();
    await Deno.writeTextFile(`${root}/ttyACM0`, "");
    assertEquals((await hint).done, false);
    controller.abort();
    assertEquals((await hints.next()).done, true);
  } finally {
    controller.abort();
    await Deno.remove(root, { recursive: true });
  }
});

story(
  "a missing directory, its missing parents, deletion and return",
  (root) => `${root}/x/y/m`,
  async (root, next) => {
    await next(() => Deno.mkdir(`${root}/x`));
    await next(() => Deno.mkdir(`${root}/x/y/m`, { recursive: true }));
    await next(() => Deno.writeTextFile(`${root}/x/y/m/a`, "1"));
    await next(() => Deno.remove(`${root}/x/y/m`, { recursive: true }));
    await next(() => Deno.mkdir(`${root}/x/y/m`));
    await next(() => Deno.writeTextFile(`${root}/x/y/m/a`, "2"));
    await next(() => Deno.remove(`${root}/x`, { recursive: true }));
    await next(() => Deno.mkdir(`${root}/x/y/m`, { recursive: true }));
    await next(() => Deno.writeTextFile(`${root}/x/y/m/a`, "3"));
  },
);

story("a directory swapped by rename", m, async (root, next) => {
  await next(() => Deno.mkdir(m(root)));
  await Deno.mkdir(`${root}/new`);
  await Deno.writeTextFile(`${root}/new/a`, "x");
  await next(async () => {
    await Deno.rename(m(root), `${root}/old`);
    await Deno.rename(`${root}/new`, m(root));
  });
  await next(() => Deno.writeTextFile(`${root}/m/b`, "x"));
});

story("a ConfigMap volume: files behind ..data change when ..data is swapped", m, async (root, next) => {
  await Deno.mkdir(`${root}/m/..v1`, { recursive: true });
  await Deno.writeTextFile(`${root}/m/..v1/pod.yaml`, "1");
  await Deno.symlink("..v1", `${root}/m/..data`);
  await next(() => Deno.symlink("..data/pod.yaml", `${root}/m/pod.yaml`));
  await next(() => Deno.writeTextFile(`${root}/m/..v1/pod.yaml`, "2"));
  await next(async () => {
    await Deno.mkdir(`${root}/m/..v2`);
    await Deno.writeTextFile(`${root}/m/..v2/pod.yaml`, "3");
    await Deno.symlink("..v2", `${root}/m/..tmp`);
    await Deno.rename(`${root}/m/..tmp`, `${root}/m/..data`);
  });
  await next(() => Deno.writeTextFile(`${root}/m/..v2/pod.yaml`, "4"));
});

story(
  "what symlinks lead to: files elsewhere, swapped directories in the middle of the path",
  m,
  async (root, next) => {
    await Deno.mkdir(`${root}/far/v1`, { recursive: true });
    await Deno.writeTextFile(`${root}/far/v1/pod.yaml`, "1");
    await Deno.symlink("v1", `${root}/far/current`);
    await next(() => Deno.mkdir(m(root)));
    await next(() => Deno.symlink("../far/current/pod.yaml", `${root}/m/pod.yaml`));
    await next(() => Deno.writeTextFile(`${root}/far/v1/pod.yaml`, "2"));
    await Deno.mkdir(`${root}/far/v2`);
    await Deno.symlink("v2", `${root}/far/next`);
    await next(() => Deno.rename(`${root}/far/next`, `${root}/far/current`));
    await next(() => Deno.writeTextFile(`${root}/far/v2/pod.yaml`, "3"));
  },
);

story("the directory itself behind a symlink that is turned", m, async (root, next) => {
  await Deno.mkdir(`${root}/one`);
  await Deno.mkdir(`${root}/two`);
  await next(() => Deno.symlink("one", m(root)));
  await next(() => Deno.writeTextFile(`${root}/one/a`, "x"));
  await next(async () => {
    await Deno.symlink("two", `${root}/turn`);
    await Deno.rename(`${root}/turn`, m(root));
  });
  await next(() => Deno.writeTextFile(`${root}/two/a`, "x"));
});

story("directories below, made later", m, async (root, next) => {
  await next(() => Deno.mkdir(`${root}/m/a/b`, { recursive: true }));
  await next(() => Deno.writeTextFile(`${root}/m/a/b/c`, "x"));
});

story("a burst is few hints, and neighbours are none", m, async (root, next, seen) => {
  await next(() => Deno.mkdir(m(root)));
  const before = seen();
  await next(async () => {
    for (let i = 0; i < 200; i++) Deno.writeTextFileSync(`${root}/m/${i}`, "x");
    for (let i = 0; i < 200; i++) await Deno.writeTextFile(`${root}/neighbour${i}`, "x");
  });
  assertEquals(seen() - before, 1);
});

story("a mount over the directory, which the kernel does not report", m, async (root, next) => {
  await next(() => Deno.mkdir(m(root)));
  await next(() => host.mount({ source: "tmpfs", target: m(root), fsType: "tmpfs" }));
  await next(() => Deno.writeTextFile(`${root}/m/a`, "x"));
  await next(() => host.unmount(m(root), { lazy: true }));
}, Deno.uid() !== 0);

Deno.test("when nothing can be watched the hints go on, slowly", async () => {
  const controller = new AbortController();
  let refused = 0;
  const driver: WatchDriver = {
    lstat: (path) => Promise.resolve(path === "/d" ? { kind: "directory", dev: 1, ino: 1 } : undefined),
    readlink: () => Promise.resolve(undefined),
    list: () => Promise.resolve([]),
    open: () => {
      refused++;
      throw new Error("no space left on device");
    },
  };
  let hints = 0;
  for await (const _ of watchDirectories([{ directory: "/d" }], driver, controller.signal)) {
    if (++hints === 2) controller.abort();
  }
  assertEquals(hints, 2);
  assert(refused > 1, "it is tried anew each time");
});
