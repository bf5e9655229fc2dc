/** Rows for volumes of every kind and their mounts. */
import { open, proven, rejected, type Rows, withSample } from "./row.ts";

const needsDriver = "volumes of this kind need a CSI driver or were removed from Kubernetes";
const kinds = [
  "awsElasticBlockStore",
  "azureDisk",
  "azureFile",
  "cephfs",
  "cinder",
  "csi",
  "ephemeral",
  "fc",
  "flexVolume",
  "flocker",
  "gcePersistentDisk",
  "gitRepo",
  "glusterfs",
  "iscsi",
  "persistentVolumeClaim",
  "photonPersistentDisk",
  "portworxVolume",
  "quobyte",
  "rbd",
  "scaleIO",
  "storageos",
  "vsphereVolume",
] as const;

const secrets = "tests/e2e/volumes_test.ts: secrets and memory are tmpfs, with modes and items";
const contents = "tests/unit/agent/model/volumes_test.ts";
const items =
  `${contents}: a ConfigMap's keys become files, binary ones too; items choose, rename and set modes`;
const projected = `${contents}: projected volumes join their sources; single sources are the same thing`;
const downward = `${contents}: downwardAPI reads metadata and resources of a named container only`;
const missing = `${contents}: what is missing is said, unless it is optional`;
const hostPaths =
  "tests/unit/agent/volumes/host_path_test.ts: each type takes its own kind of thing and names what it wanted";

export const volumes: Rows = {
  Volume: {
    ...Object.fromEntries(kinds.map((kind) => [kind, rejected(needsDriver)])),
    image: open,
    name: proven(secrets),
    nfs: open,
  },
  VolumeMount: {
    mountPath: proven(secrets),
    mountPropagation: open,
    name: proven(secrets),
    readOnly: open,
    recursiveReadOnly: open,
    subPath: open,
    subPathExpr: open,
  },
  ConfigMapVolumeSource: { defaultMode: open, name: proven(items), optional: proven(missing) },
  SecretVolumeSource: {
    defaultMode: proven(secrets),
    optional: proven(missing),
    secretName: proven(secrets),
  },
  DownwardAPIVolumeSource: { defaultMode: open },
  DownwardAPIVolumeFile: { mode: open, path: proven(downward) },
  KeyToPath: { key: proven(secrets, items), mode: proven(secrets, items), path: proven(secrets, items) },
  EmptyDirVolumeSource: { medium: withSample("Memory", proven(secrets)), sizeLimit: open },
  HostPathVolumeSource: { path: proven(hostPaths), type: proven(hostPaths) },
  ProjectedVolumeSource: { defaultMode: open },
  ConfigMapProjection: { name: proven(projected), optional: open },
  SecretProjection: { name: proven(projected), optional: open },
  VolumeProjection: {
    clusterTrustBundle: rejected("trust bundles are objects of a control plane"),
    podCertificate: rejected("certificates are signed by a control plane"),
    serviceAccountToken: rejected("tokens are signed by a control plane"),
  },
  ImageVolumeSource: { pullPolicy: open, reference: open },
  NFSVolumeSource: { path: open, readOnly: open, server: open },
  FileKeySelector: { key: open, optional: open, path: open, volumeName: open },
};
