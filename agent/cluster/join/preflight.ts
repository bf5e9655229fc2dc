/**
 * What has to be so on a host before it joins a cluster: named checks, each with what to do. Pure: facts in, findings out.
 * The names are kubeadm's where it has the check. Not for: finding the facts.
 */
import { dnsSubdomain } from "../../model/names.ts";

export interface HostFacts {
  root: boolean;
  nodeName: string;
  /** Controllers that pods can be limited with; empty where cgroups are not mounted. */
  cgroupControllers: readonly string[];
  /** Bytes of swap in use or ready. */
  swap: number;
  /** `failSwapOn` of the configuration. */
  failSwapOn: boolean;
  /** Ports that the node will serve, and who has them. */
  takenPorts: readonly { port: number; by?: string }[];
  /** Absent: nobody knows what time it is elsewhere. This clock minus the API server's, in ms. */
  clockSkew?: number;
  /** Why the runtime cannot be used. */
  runtimeProblem?: string;
  /** Bytes, where pods and images will lie. */
  freeDisk: number;
  /** /proc/sys/net/ipv4/ip_forward */
  ipForward: boolean;
  /** Of a kubelet, or an earlier join of another cluster: absolute paths. */
  leftFiles: readonly string[];
  /** A kubelet that runs already, by its process id. */
  kubelet?: number;
}

export interface PreflightFinding {
  check: string;
  severity: "error" | "warning";
  message: string;
  remedy: string;
}

type Finding = Omit<PreflightFinding, "check">;
type Check = (facts: HostFacts) => Finding[];

const error = (message: string, remedy: string): Finding[] => [{ severity: "error", message, remedy }];
const warning = (message: string, remedy: string): Finding[] => [{ severity: "warning", message, remedy }];

const neededControllers = ["cpu", "cpuset", "memory", "pids"];
const leastDisk = 2 * 1024 ** 3;
/** Certificates are dated back by five minutes. */
const mostSkew = 4 * 60_000;

const checks: Readonly<Record<string, Check>> = {
  IsPrivilegedUser: ({ root }) =>
    root ? [] : error("not run as root", "run it as root, for instance with sudo"),
  Hostname({ nodeName }) {
    const expected = dnsSubdomain(nodeName);
    return expected === undefined ? [] : error(
      `"${nodeName}" is no name for a node: expected ${expected}`,
      "give another one with --node-name",
    );
  },
  Cgroups({ cgroupControllers }) {
    const missing = neededControllers.filter((c) => !cgroupControllers.includes(c));
    return missing.length === 0 ? [] : error(
      `the kernel offers no cgroup controller ${missing.join(", ")}`,
      "enable them (cgroup_enable=… on the kernel's command line) and mount cgroup2 at /sys/fs/cgroup",
    );
  },
  Swap({ swap, failSwapOn }) {
    if (swap === 0) return [];
    const message = `${Math.ceil(swap / 1024 ** 2)} MiB of swap are on`;
    const remedy = "run `swapoff -a` and take swap out of /etc/fstab, or set failSwapOn: false";
    return failSwapOn ? error(message, remedy) : warning(message, remedy);
  },
  Port: ({ takenPorts }) =>
    takenPorts.flatMap(({ port, by }) =>
      error(
        `port ${port} is in use${by === undefined ? "" : ` by ${by}`}`,
        `stop what listens there (ss -ltnp 'sport = :${port}')`,
      )
    ),
  Time({ clockSkew }) {
    if (clockSkew === undefined || Math.abs(clockSkew) <= mostSkew) return [];
    const seconds = Math.round(Math.abs(clockSkew) / 1000);
    return error(
      `this clock is ${seconds} seconds ${
        clockSkew > 0 ? "ahead of" : "behind"
      } the API server's: certificates would not be valid`,
      "set the clock, for instance with chrony or systemd-timesyncd",
    );
  },
  CRI: ({ runtimeProblem }) =>
    runtimeProblem === undefined
      ? []
      : error(runtimeProblem, "start the container runtime, or name its socket with --cri-socket"),
  Disk: ({ freeDisk }) =>
    freeDisk >= leastDisk ? [] : warning(
      `${Math.floor(freeDisk / 1024 ** 2)} MiB are free for images and pods`,
      "make room: the node would soon be under disk pressure",
    ),
  "FileContent--proc-sys-net-ipv4-ip_forward": ({ ipForward }) =>
    ipForward
      ? []
      : error("IPv4 forwarding is off", "run `sysctl -w net.ipv4.ip_forward=1` and keep it in /etc/sysctl.d"),
  FileAvailable: ({ leftFiles }) =>
    leftFiles.flatMap((path) =>
      error(`${path} exists already`, "if this host has left its cluster, run `agent reset`")
    ),
  Kubelet: ({ kubelet }) =>
    kubelet === undefined ? [] : error(
      `a kubelet runs here (process ${kubelet})`,
      "stop and disable it: systemctl disable --now kubelet",
    ),
};

export const checkNames: readonly string[] = Object.keys(checks);

export interface Preflight {
  findings: PreflightFinding[];
  /** What was asked to be ignored, but is no check. */
  unknown: string[];
}

/**
 * @param ignored names of checks, in any case, or `all`: their errors become warnings, as kubeadm has it. Of kubeadm's names
 * that end in a port or a path (`Port-10250`) the part before is enough.
 */
export function preflight(facts: HostFacts, ignored: readonly string[]): Preflight {
  const isIgnored = (check: string) =>
    ignored.some((name) => name.toLowerCase() === "all" || names(name, check));
  const findings = Object.entries(checks).flatMap(([check, run]) =>
    run(facts).map((finding): PreflightFinding => ({
      check,
      ...finding,
      severity: isIgnored(check) ? "warning" : finding.severity,
    }))
  );
  const unknown = ignored.filter((name) =>
    name.toLowerCase() !== "all" && !checkNames.some((check) => names(name, check))
  );
  return { findings, unknown };
}

function names(written: string, check: string): boolean {
  const [name, own] = [written.toLowerCase(), check.toLowerCase()];
  return name === own || name.startsWith(`${own}-`);
}
