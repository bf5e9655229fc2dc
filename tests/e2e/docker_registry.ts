/**
 * Debian's docker-registry on a free port of the loopback, over plain HTTP and behind a password, filled by skopeo: a
 * real registry on a machine that reaches none. Not for: holding pulls or counting bytes (registry.ts).
 */
import { join } from "@std/path";
import { output } from "./agent.ts";
import { until } from "./containerd.ts";
import { type ImageOptions, writeImageArchive } from "../../tools/busybox_image.ts";

export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  address: string;
  username: string;
  password: string;
  /** Pushes busybox under a name below the registry: `team/web:1`. */
  push(name: string, image?: Omit<ImageOptions, "tags" | "format">): Promise<void>;
  /** How often the manifest of a name was asked for. */
  asked(repository: string): number;
}

const [username, password] = ["me", "s3cr3t"];
/** bcrypt, as htpasswd -B writes it. */
const passwords = "me:$2y$04$wdDGhUrCc61PAdXzIUQEeO4N1CbfSEAynfnq2HiYHv5QNW/QanAce\n";

const configOf = (directory: string, port: number): string => `
version: 0.1
log: { accesslog: { disabled: false }, level: info }
storage: { filesystem: { rootdirectory: ${directory}/blobs } }
http: { addr: "127.0.0.1:${port}" }
auth: { htpasswd: { realm: test, path: ${directory}/passwords } }
`;

export async function startDockerRegistry(directory: string): Promise<DockerRegistry> {
  await Deno.mkdir(directory, { recursive: true });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const address = `127.0.0.1:${port}`;
  const [config, log] = [join(directory, "config.yml"), join(directory, "log")];
  await Deno.writeTextFile(config, configOf(directory, port));
  await Deno.writeTextFile(join(directory, "passwords"), passwords);
  const child = new Deno.Command("sh", {
    args: ["-c", `exec docker-registry serve '${config}' >'${log}' 2>&1`],
    stdin: "null",
    env: { OTEL_TRACES_EXPORTER: "none" },
  }).spawn();
  const said = () => Deno.readTextFileSync(log);
  await until("the registry asks for a password", async () => {
    const response = await fetch(`http://${address}/v2/`).catch(() => undefined);
    await response?.body?.cancel();
    return response?.status === 401;
  });
  return {
    address,
    username,
    password,
    async push(name, image = {}) {
      const archive = await writeImageArchive(directory, "image.tar", {
        ...image,
        tags: ["localhost/pushed:1"],
      });
      const target = `docker://${address}/${name}`;
      const flags = [
        "--insecure-policy",
        "--dest-tls-verify=false",
        "--dest-creds",
        `${username}:${password}`,
      ];
      const { code, stderr } = await output("skopeo", [
        "copy",
        ...flags.slice(1),
        flags[0]!,
        `docker-archive:${archive}`,
        target,
      ]);
      if (code !== 0) throw new Error(`skopeo: ${stderr}`);
    },
    asked: (repository) =>
      said().split("\n").filter((line) =>
        /"(GET|HEAD) \S+/.test(line) && line.includes(`/v2/${repository}/manifests/`) && /" 200 /.test(line)
      ).length,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}
