/**
 * A host whose cgroup file system behaves as the kernel's: a new directory holds the files of its controllers with
 * their first values, no other file can be made, and odd values are shown as the kernel shows them. The files of v1 and
 * of v2's core and hugetlb were recorded on Linux 6; those of v2's cpu, memory and pids are as cgroup-v2.rst gives them.
 * With systemd it answers busctl as systemd does. Not for: processes in cgroups.
 */
import { basename, dirname, join } from "@std/path";
import type { CommandResult, Host, MountPoint } from "../../agent/ports.ts";
import { createFakeHost } from "./host.ts";

const v1Unlimited = "9223372036854771712";
const v1Common = { "cgroup.procs": "", "notify_on_release": "0", tasks: "" };
const v1Files: Readonly<Record<string, Record<string, string>>> = {
  cpu: { "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "cpu.shares": "1024" },
  cpuacct: { "cpuacct.usage": "0" },
  memory: {
    "memory.limit_in_bytes": v1Unlimited,
    "memory.memsw.limit_in_bytes": v1Unlimited,
    "memory.usage_in_bytes": "0",
    "memory.stat": "total_inactive_file 0",
  },
  pids: { "pids.current": "0", "pids.max": "max" },
  hugetlb: { "hugetlb.2MB.limit_in_bytes": v1Unlimited, "hugetlb.2MB.usage_in_bytes": "0" },
};
const v2Core = {
  "cgroup.events": "populated 0",
  "cgroup.procs": "",
  "cgroup.subtree_control": "",
  "cpu.stat": "usage_usec 0",
};
const v2Files: Readonly<Record<string, Record<string, string>>> = {
  cpu: { "cpu.max": "max 100000", "cpu.weight": "100" },
  memory: { "memory.current": "0", "memory.max": "max", "memory.min": "0", "memory.stat": "inactive_file 0" },
  pids: { "pids.current": "0", "pids.max": "max" },
  hugetlb: {
    "hugetlb.2MB.current": "0",
    "hugetlb.2MB.max": v1Unlimited,
    "hugetlb.2MB.rsvd.current": "0",
    "hugetlb.2MB.rsvd.max": v1Unlimited,
  },
};
const top = "/sys/fs/cgroup";

export interface CgroupHost extends Host {
  /** What a file below the cgroup mounts says; in v1 the controller comes first. */
  value(path: string): string | undefined;
  /** As the kernel does, when usage changes. */
  setValue(path: string, value: string): Promise<void>;
  /** Commands to systemd, as words. */
  readonly commands: string[][];
}

export async function createCgroupHost(version: "v1" | "v2"): Promise<CgroupHost> {
  const fake = createFakeHost();
  const commands: string[][] = [];
  const controllers = version === "v1"
    ? Object.keys(v1Files)
    : ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];
  const mounts: MountPoint[] = version === "v1"
    ? controllers.map((c) => ({
      path: `${top}/${c}`,
      fsType: "cgroup",
      source: "cgroup",
      options: ["rw", c],
    }))
    : [{ path: top, fsType: "cgroup2", source: "cgroup2", options: ["rw"] }];

  const put = (path: string, files: Record<string, string>) =>
    Promise.all(Object.entries(files).map(([name, value]) => fake.writeFile(join(path, name), `${value}\n`)));
  const passedBy = async (parent: string) =>
    (await fake.readText(join(parent, "cgroup.subtree_control")) ?? "").trim().split(/\s+/).filter(Boolean);

  async function fill(path: string): Promise<void> {
    if (version === "v1") {
      const controller = path.slice(top.length + 1).split("/")[0]!;
      await put(path, { ...v1Common, ...v1Files[controller] });
      return;
    }
    const passed = await passedBy(dirname(path));
    await put(path, { ...v2Core, "cgroup.controllers": passed.join(" ") });
    for (const controller of passed) await put(path, v2Files[controller] ?? {});
  }

  async function mkdir(path: string): Promise<void> {
    if (!path.startsWith(top)) return await fake.mkdir(path);
    if (await fake.stat(path) !== undefined) return;
    if (dirname(path) !== "/" && await fake.stat(dirname(path)) === undefined) await mkdir(dirname(path));
    await fake.mkdir(path);
    if (path !== top && dirname(path) !== "/sys/fs") await fill(path);
  }

  async function passOn(parent: string, controller: string): Promise<void> {
    const passed = await passedBy(parent);
    await fake.writeFile(join(parent, "cgroup.subtree_control"), `${[...passed, controller].join(" ")}\n`);
    for (const name of await fake.list(parent) ?? []) {
      const child = join(parent, name);
      if ((await fake.stat(child))?.kind !== "directory") continue;
      await put(child, { ...v2Files[controller], "cgroup.controllers": (await passedBy(parent)).join(" ") });
    }
  }

  async function writeFile(path: string, content: string | Uint8Array): Promise<void> {
    if (!path.startsWith(top)) return await fake.writeFile(path, content);
    if (await fake.stat(path) === undefined) throw new Error(`${path}: Permission denied (os error 13)`);
    const text = `${content}`;
    if (basename(path) === "cgroup.subtree_control") return await passOn(dirname(path), text.slice(1));
    if (basename(path) === "cpu.max") {
      const [, period] = (await fake.readText(path))!.trim().split(" ");
      return await fake.writeFile(path, `${text.includes(" ") ? text : `${text} ${period}`}\n`);
    }
    const unlimited = basename(path).endsWith("limit_in_bytes") && text === "-1";
    await fake.writeFile(path, `${unlimited ? v1Unlimited : text}\n`);
  }

  async function remove(path: string): Promise<void> {
    const children = await fake.list(path) ?? [];
    const kinds = await Promise.all(children.map((name) => fake.stat(join(path, name))));
    if (kinds.some((stat) => stat?.kind === "directory")) throw new Error(`${path}: Device or resource busy`);
    await fake.removeTree(path);
  }

  const places = version === "v1" ? mounts.map((m) => m.path) : [top];
  /** Slices nest by their dashes. */
  const slicePath = (unit: string) => {
    const parts = unit.replace(/\.slice$/, "").split("-");
    return parts.map((_, i) => `${parts.slice(0, i + 1).join("-")}.slice`).join("/");
  };

  async function exec(argv: string[]): Promise<CommandResult> {
    commands.push(argv);
    const answer = (stderr = ""): CommandResult => ({
      code: stderr === "" ? 0 : 1,
      stdout: new Uint8Array(),
      stderr: new TextEncoder().encode(stderr),
    });
    const [, , , , , method, , unit = ""] = argv;
    const directories = places.map((place) => join(place, slicePath(unit)));
    const known = await fake.stat(directories[0]!) !== undefined;
    if (method === "StartTransientUnit") {
      if (known) return answer(`Call failed: Unit ${unit} already exists.`);
      for (const directory of directories) await mkdir(directory);
    }
    if (method === "StopUnit") {
      if (!known) return answer(`Call failed: Unit ${unit} not loaded.`);
      for (const directory of directories) await fake.removeTree(directory);
    }
    return answer();
  }

  for (const { path } of mounts) await mkdir(path);
  if (version === "v2") {
    await put(top, {
      "cgroup.controllers": controllers.join(" "),
      "cgroup.subtree_control": "",
      "cgroup.procs": "",
    });
  }
  return {
    ...fake,
    mkdir,
    writeFile,
    remove,
    exec,
    mounts: () => Promise.resolve(mounts),
    value: (path) => fake.text(join(top, path))?.trim(),
    setValue: (path, value) => fake.writeFile(join(top, path), `${value}\n`),
    commands,
  };
}
