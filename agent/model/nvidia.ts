/**
 * What NVIDIA's kernel driver tells in /proc, and which of its libraries a container needs: no library of the vendor is
 * asked. Source of the lists: libnvidia-container, nvc_info.c (utility, compute, video). Not for: MIG, graphics.
 */

export interface NvidiaGpu {
  /** PCI address; unlike the UUID it is known from the start. */
  bus: string;
  /** N of /dev/nvidiaN. */
  minor: number;
  model: string;
}

/** /proc/driver/nvidia/gpus/BUS/information; `undefined` where it is not one that can be given away. */
export function parseGpu(bus: string, text: string): NvidiaGpu | undefined {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1]?.trim();
  const minor = field("Device Minor") ?? "";
  if (!/^\d{1,4}$/.test(minor) || field("GPU Excluded") === "Yes") return undefined;
  return { bus, minor: Number(minor), model: field("Model") ?? "" };
}

/** Of /proc/driver/nvidia/version. */
export interface NvidiaDriver {
  version: string;
  /** As in the names of Debian's directories: x86_64, aarch64. */
  machine: string;
}

export function parseDriver(text: string): NvidiaDriver | undefined {
  const [, before, after, version] =
    /(\S+) +(?:Open )?Kernel Module(?: for (\S+))?\s+(\d+(?:\.\d+)+)/.exec(text) ?? [];
  const machine = after ?? before;
  return version === undefined || machine === undefined ? undefined : { version, machine };
}

/** Nodes that all GPUs share; only the first is there in any case. */
export const nvidiaControlNodes: readonly string[] = [
  "/dev/nvidiactl",
  "/dev/nvidia-uvm",
  "/dev/nvidia-uvm-tools",
  "/dev/nvidia-modeset",
];

const libraries = new Set([
  ...["libnvidia-ml", "libnvidia-cfg", "libnvidia-nscq"],
  ...["libcuda", "libcudadebugger", "libnvidia-opencl", "libnvidia-gpucomp", "libnvidia-ptxjitcompiler"],
  ...["libnvidia-fatbinaryloader", "libnvidia-allocator", "libnvidia-compiler", "libnvidia-pkcs11"],
  ...["libnvidia-pkcs11-openssl3", "libnvidia-nvvm", "libnvidia-tileiras"],
  ...["libvdpau_nvidia", "libnvidia-encode", "libnvidia-opticalflow", "libnvcuvid"],
]);

/** A library by the name that programs load: libcuda.so.1; some are loaded by the driver's version. */
export const isNvidiaLibrary = (name: string): boolean =>
  /\.so\.\d+(\.\d+)*$/.test(name) && libraries.has(name.slice(0, name.indexOf(".so")));

/** Paths of NVIDIA's libraries in what `ldconfig -p` prints, those for this machine's own programs. */
export function librariesOf(ldconfig: string): string[] {
  const paths: string[] = [];
  for (const line of ldconfig.split("\n")) {
    const [, name = "", kind = "", path = ""] = /^\s*(\S+) \(([^)]*)\) => (\/\S+)$/.exec(line) ?? [];
    if (isNvidiaLibrary(name) && /x86-64|AArch64/.test(kind)) paths.push(path);
  }
  return paths;
}

/** Where the driver's libraries may be besides where ldconfig knows them. */
export const libraryDirectories = (machine: string): string[] => [
  `/usr/lib/${machine}-linux-gnu`,
  ...["/usr/lib64", "/usr/lib", "/usr/local/nvidia/lib64", "/opt/nvidia/lib64"],
];

/**
 * Where a library is mounted: where it is on the host, where the C libraries of Debian's and of Red Hat's kind look
 * without being told, and where CUDA's images have their LD_LIBRARY_PATH. libcuda also by the name of developers' links.
 */
export function placesOfLibrary(path: string, machine: string): string[] {
  const directories = [`/usr/lib/${machine}-linux-gnu`, "/usr/lib64", "/usr/local/nvidia/lib64"];
  const name = nameOf(path);
  const names = name === "libcuda.so.1" ? [name, "libcuda.so"] : [name];
  return unique([path, ...directories.flatMap((each) => names.map((it) => `${each}/${it}`))]);
}

/** A driver's folder of its own comes first: what is in /usr/bin beside it may be a script that is of use only there. */
export const programDirectories: readonly string[] = ["/usr/local/nvidia/bin", "/opt/nvidia/bin", "/usr/bin"];

export const placesOfProgram = (path: string): string[] =>
  unique([path, `/usr/bin/${nameOf(path)}`, `/usr/local/nvidia/bin/${nameOf(path)}`]);

const unique = (paths: readonly string[]): string[] => [...new Set(paths)];
export const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
