/** What the flags of `agent join` say, as the JoinConfiguration that a file would have given. Pure. Source: kubeadm join's flags. */
import type { JoinFlags } from "../../model/join_flags.ts";
import { type JoinConfiguration, joinOf, type Written } from "./join_configuration.ts";

/** By the fields whose rules they break. */
const places: Readonly<Record<string, string>> = {
  controlPlane: "--control-plane",
  "discovery.bootstrapToken.token": "--token",
  "discovery.tlsBootstrapToken": "--tls-bootstrap-token",
  "discovery.bootstrapToken.apiServerEndpoint": "ENDPOINT",
  "discovery.bootstrapToken.caCertHashes": "--discovery-token-ca-cert-hash",
};

/** The configuration, or what is wrong: `--token: expected …`. */
export function joinOfFlags(flags: JoinFlags): { join: JoinConfiguration } | { wrong: string[] } {
  const { discoveryFile, pins, nodeName, criSocket } = flags;
  const token = flags.discoveryToken ?? flags.token ?? "";
  const tls = flags.tlsBootstrapToken ?? (discoveryFile === undefined ? undefined : flags.token);
  const written: Written = {
    apiVersion: "",
    kind: "",
    discovery: {
      ...(discoveryFile === undefined
        ? {
          bootstrapToken: {
            token,
            apiServerEndpoint: flags.endpoint ?? "",
            caCertHashes: [...pins],
            unsafeSkipCAVerification: flags.unsafeSkipCAVerification,
          },
        }
        : { file: { kubeConfigPath: discoveryFile } }),
      ...(tls === undefined ? {} : { tlsBootstrapToken: tls }),
    },
    nodeRegistration: {
      ...(nodeName === undefined ? {} : { name: nodeName }),
      ...(criSocket === undefined ? {} : { criSocket }),
      ignorePreflightErrors: [...flags.ignorePreflightErrors],
    },
    ...(flags.controlPlane ? { controlPlane: {} } : {}),
  };
  const wrong: string[] = [];
  const join = joinOf(written, (path, message) => {
    const text = path.join(".");
    const place = Object.entries(places).find(([field]) => text === field || text.startsWith(`${field}.`));
    wrong.push(
      `${place?.[1] ?? text}: ${
        message.replace("unsafeSkipCAVerification: true", "--discovery-token-unsafe-skip-ca-verification")
      }`,
    );
  });
  return wrong.length === 0 ? { join } : { wrong };
}
