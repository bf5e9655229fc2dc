/** Rows for volumes of every kind and their mounts. */
import { needsCluster, proven, provenBut, rejected, type Rows, withSample } from "./row.ts";

const needsDriver = "volumes of this kind need a CSI driver or were removed from Kubernetes";
const kinds = [
  "awsElasticBlockStore",
  "azureDisk",
  "azureFile",
  "cephfs",
  "cinder",
  "fc",
  "flexVolume",
  "flocker",
  "gcePersistentDisk",
  "gitRepo",
  "glusterfs",
  "iscsi",
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
const inMemory =
  "tests/unit/agent/volumes/pod_volumes_test.ts: every kind lies where the kubelet puts it, secrets in memory only";
const hugePages =
  "tests/unit/agent/volumes/pod_volumes_test.ts: emptyDir.medium HugePages is a hugetlbfs of the requested page size, gone with the pod";
const images =
  "tests/e2e/image_volumes_test.ts: image.reference and image.pullPolicy: a pod waits for its image volume, then reads it: read-only, no programs, subPath";
const owners =
  "tests/e2e/contents_test.ts: fsGroup, fsGroupChangePolicy, defaultMode, mode, items and optional: owners and modes of what containers see";
const mounts = "tests/e2e/mounts_test.ts";
const propagation = `${mounts}: mountPropagation None, HostToContainer and Bidirectional`;
const readOnly = `${mounts}: readOnly, recursiveReadOnly and what status.volumeMounts says of them`;
const recursive =
  "tests/unit/agent/model/volume_mounts_test.ts: recursiveReadOnly: Enabled needs the runtime, IfPossible takes what there is, Disabled never";
const subPaths =
  `${mounts}: subPath and subPathExpr are made inside the volume, and refused as the kubelet does`;
const nfsLine =
  "tests/unit/agent/volumes/nfs_test.ts: nfs: server, path and readOnly make the line of mount(8)";
const nfs = provenBut("mounted by mount(8) with the node's NFS client; not seen with a real server", nfsLine);
const csiTests = "tests/unit/agent/volumes/csi/inline_test.ts";
const csi = proven(
  `${csiTests}: csi.driver, csi.volumeAttributes and csi.nodePublishSecretRef: the driver is asked as by the kubelet, at its path, and asked back`,
);
const devices = proven(
  "tests/unit/agent/volumes/csi/persistent_test.ts: volumeDevices.devicePath is the device of the claim that volumeDevices.name names, to be read only where the claim is",
);
const csiMode = proven(
  `${csiTests}: csi.fsType and csi.readOnly reach the driver; files are the fsGroup's where the policy says so`,
);
const envFiles = "tests/unit/agent/model/env_file_test.ts";
const fileKeys =
  `${envFiles}: fileKeyRef: optional leaves the variable out, without it the container waits and is told why`;
const envFile = `${mounts}: fileKeyRef: an init container writes variables for the others`;
const hostPaths =
  "tests/unit/agent/volumes/host_path_test.ts: each type takes its own kind of thing and names what it wanted";

const claims = "tests/unit/agent/volumes/claims_test.ts";
const claimed =
  `${claims}: a claim without any class gets a directory when its first pod comes, and keeps it over kills`;
const given =
  "tests/unit/agent/volumes/persistent_test.ts: volumes of claims are given as they are: readOnly where the pod says so, to its fsGroup, and never when they are gone";
const binding = "tests/unit/agent/model/claims_test.ts";
const bound =
  `${binding}: class, access modes, volume mode, selector and node each keep a volume from a claim`;
const selected = `${binding}: labels are selected as the API selects them`;
const sizes =
  "tests/unit/agent/model/validate_storage_test.ts: what the API refuses of storage is refused, each at its field";
const template = `${claims}: ephemeral: a claim of the pod's own, refused where the name is somebody else's`;

export const volumes: Rows = {
  Volume: {
    ...Object.fromEntries(kinds.map((kind) => [kind, rejected(needsDriver)])),
    image: provenBut(
      "the tests' containerd 1.6 leaves the mount to the agent; containerd 2.1.9 was seen by hand to mount images itself",
      images,
    ),
    name: proven(secrets),
    nfs,
  },
  VolumeMount: {
    mountPath: proven(secrets),
    mountPropagation: proven(propagation),
    name: proven(secrets),
    readOnly: proven(readOnly),
    recursiveReadOnly: withSample(
      "Disabled",
      provenBut(
        "the tests' containerd 1.6 cannot, so that Enabled is refused; with containerd 2.1.9 it was seen to work by hand",
        readOnly,
        recursive,
      ),
    ),
    subPath: proven(subPaths),
    subPathExpr: proven(subPaths),
  },
  VolumeDevice: { devicePath: devices, name: devices },
  ConfigMapVolumeSource: { defaultMode: proven(owners), name: proven(items), optional: proven(missing) },
  SecretVolumeSource: {
    defaultMode: proven(secrets),
    optional: proven(missing),
    secretName: proven(secrets),
  },
  DownwardAPIVolumeSource: { defaultMode: proven(owners) },
  DownwardAPIVolumeFile: { mode: proven(owners), path: proven(downward) },
  KeyToPath: { key: proven(secrets, items), mode: proven(secrets, items), path: proven(secrets, items) },
  EmptyDirVolumeSource: {
    medium: withSample("Memory", proven(secrets, hugePages)),
    sizeLimit: proven(secrets, inMemory),
  },
  HostPathVolumeSource: { path: proven(hostPaths), type: proven(hostPaths) },
  ProjectedVolumeSource: { defaultMode: proven(owners) },
  ConfigMapProjection: { name: proven(projected), optional: proven(owners) },
  SecretProjection: { name: proven(projected), optional: proven(owners) },
  VolumeProjection: {
    clusterTrustBundle: rejected("trust bundles are objects of a control plane"),
    podCertificate: rejected("certificates are signed by a control plane"),
    serviceAccountToken: rejected("tokens are signed by a control plane"),
  },
  ImageVolumeSource: { pullPolicy: withSample("Never", proven(images)), reference: proven(images) },
  PersistentVolumeClaimVolumeSource: { claimName: proven(claimed), readOnly: proven(given) },
  EphemeralVolumeSource: { volumeClaimTemplate: proven(template) },
  PersistentVolumeClaimSpec: {
    accessModes: proven(bound),
    dataSource: rejected("the volume would be empty instead of a copy"),
    dataSourceRef: rejected("the volume would be empty instead of a copy"),
    storageClassName: proven(`${binding}: the class of a claim: none, the default, or the one that it names`),
    volumeAttributesClassName: needsCluster("classes of attributes are objects of a control plane"),
    volumeMode: proven(bound),
    volumeName: proven(`${binding}: a claim that names a volume gets that one or waits`),
  },
  VolumeResourceRequirements: { limits: proven(sizes), requests: proven(sizes) },
  LabelSelector: { matchLabels: proven(bound) },
  LabelSelectorRequirement: { key: proven(selected), operator: proven(selected), values: proven(selected) },
  NFSVolumeSource: { path: withSample("/", nfs), readOnly: nfs, server: nfs },
  CSIVolumeSource: {
    driver: withSample("csi.example", csi),
    fsType: csiMode,
    nodePublishSecretRef: csi,
    readOnly: csiMode,
    volumeAttributes: csi,
  },
  FileKeySelector: {
    key: proven(fileKeys, envFile),
    optional: proven(fileKeys, envFile),
    path: proven(fileKeys, envFile),
    volumeName: proven(fileKeys, envFile),
  },
};
