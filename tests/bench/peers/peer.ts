/**
 * What the bench asks of everyone that runs pods. Each peer has its own containerd, or storage, and directories, alike
 * but apart. Not for: measuring.
 */
import type { BenchPod } from "../pods.ts";

/** By the runtime's own clock, ms since the epoch. */
export interface ContainerTimes {
  id: string;
  /** Near the end of the runtime's call that created it. */
  createdAt: number;
  startedAt: number;
  finishedAt: number | undefined;
}

/** A program that stays, and can be stopped and started while its pods go on. */
export interface Resident {
  pid(): number;
  stop(): Promise<void>;
  /** Returns when it says that it is ready. */
  start(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** Absent where nothing stays in memory between two commands. */
  readonly resident?: Resident;
  /** Whether it restarts containers that end. */
  readonly restarts: boolean;
  /** Returns when the peer has been told, which for some means that all is done. Several pods are told at once. */
  add(pods: readonly BenchPod[]): Promise<void>;
  remove(pods: readonly BenchPod[]): Promise<void>;
  /** Resolves when its own API, or program, calls the pod Running: as soon as it can be known there. */
  whenRunning(pod: BenchPod): Promise<void>;
  /** What it calls Running now: name of the pod → ids of its containers. */
  running(): Promise<ReadonlyMap<string, readonly string[]>>;
  /** Whether its API still knows any of the pods, or anything of one runs. */
  knows(pods: readonly BenchPod[]): Promise<boolean>;
  /** The container's attempts, newest first. */
  containers(pod: BenchPod): Promise<ContainerTimes[]>;
  /** Runs a command in the pod's container, as its users do; returns when it has ended well. */
  exec?(pod: BenchPod, command: string[]): Promise<void>;
  /** Number of the main process of the pod's container. */
  processOf(pod: BenchPod): Promise<number>;
  /** Makes or changes the ConfigMap, whose one key is `text`; absent where pods cannot use any. */
  putConfigMap?(name: string, text: string): Promise<void>;
  /** What curl is to be asked for all that the pod's container wrote. */
  logs?(pod: BenchPod): string[];
  /** What a node of a cluster is for its API server. */
  readonly node?: NodeView;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface NodeView {
  /** What it has asked until now: verb and resource of each request. */
  requests(): string[];
  /** The control plane has not heard of it for long. */
  loseSight(): Promise<void>;
  /** Resolves when the Node is Ready. */
  whenReady(): Promise<void>;
}

/** Why a peer cannot run on this machine. */
export class NotRunnable extends Error {}
