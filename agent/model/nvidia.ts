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

/** The driver's version from /proc/driver/nvidia/version. */
export const parseDriverVersion = (text: string): string | undefined =>
  /Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)/.exec(text)?.[1];

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

/** A library by the name that programs load, such as libcuda.so.1. */
export const isNvidiaLibrary = (name: string): boolean =>
  /\.so\.\d+$/.test(name) && libraries.has(name.slice(0, name.indexOf(".so")));

/** Paths of NVIDIA's libraries in what `ldconfig -p` prints, those for this machine's own programs. */
export function librariesOf(ldconfig: string): string[] {
  const paths = new Map<string, string>();
  for (const line of ldconfig.split("\n")) {
    const [, name = "", kind = "", path = ""] = /^\s*(\S+) \(([^)]*)\) => (\/\S+)$/.exec(line) ?? [];
    if (isNvidiaLibrary(name) && /x86-64|AArch64/.test(kind) && !paths.has(name)) paths.set(name, path);
  }
  return [...paths.values()];
}

/** Where libraries are looked for on a host without ldconfig. */
export const libraryDirectories: readonly string[] = [
  ...[
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/opt/nvidia/lib64",
  ],
];

/**
 * Where a library is mounted: where it is on the host, which containers of like distributions search, and where CUDA's
 * images have their LD_LIBRARY_PATH.
 */
export const placesOfLibrary = (path: string): string[] => [path, `/usr/local/nvidia/lib64/${nameOf(path)}`];

export const placesOfProgram = (path: string): string[] => [path, `/usr/local/nvidia/bin/${nameOf(path)}`];

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
