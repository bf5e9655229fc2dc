/**
 * Creating sandboxes and containers so that a second try after a crash or a lost answer ends with one object: the
 * runtimes reserve a name per pod (or container) and attempt, and say which id holds it.
 * Not for: deciding that something is to be created.
 */
import type { ContainerSpec, SandboxSpec } from "../../agent/model/container.ts";
import { AgentError } from "../../agent/model/errors.ts";
import { type Container, ContainerState, type PodSandbox, PodSandboxState } from "../rpc/gen/cri.ts";
import { type RuntimeClient, within } from "./client.ts";
import { reservedFor } from "./errors.ts";
import { INSTANCE, parseContainerNotes, sandboxHashOf } from "./labels.ts";
import type { SecurityOptions } from "./security.ts";
import { toContainerConfig } from "./translate_container.ts";
import { toSandboxConfig } from "./translate_sandbox.ts";

export interface Creator {
  runPodSandbox(spec: SandboxSpec, signal: AbortSignal): Promise<string>;
  createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<string>;
}

export function createCreator(client: RuntimeClient, instance: string, security: SecurityOptions): Creator {
  /** The holder of the name when it is what was asked for; `undefined` when its place is free now. */
  const settleSandbox = async (id: string, spec: SandboxSpec, signal: AbortSignal) => {
    const { items: [found] } = await client.listPodSandbox({ filter: { id } }, within(signal));
    if (found === undefined) throw inFlight("CreatePodSandboxError", "sandbox", id);
    checkOwner("CreatePodSandboxError", found, instance);
    const ready = found.state === PodSandboxState.SANDBOX_READY;
    if (ready && sandboxHashOf(found.annotations) === spec.hash) return found.id;
    await client.stopPodSandbox({ podSandboxId: id }, within(signal));
    await client.removePodSandbox({ podSandboxId: id }, within(signal));
    return undefined;
  };

  const settleContainer = async (id: string, spec: ContainerSpec, signal: AbortSignal) => {
    const { containers: [found] } = await client.listContainers({ filter: { id } }, within(signal));
    if (found === undefined) throw inFlight("CreateContainerError", "container", id);
    checkOwner("CreateContainerError", found, instance);
    if (found.state === ContainerState.CONTAINER_RUNNING) {
      throw new AgentError(
        "CreateContainerError",
        `container "${spec.container.name}" already runs as ${id}`,
      );
    }
    const created = found.state === ContainerState.CONTAINER_CREATED;
    const same = found.podSandboxId === spec.sandboxId &&
      parseContainerNotes(found.annotations).hash === spec.hash;
    if (created && same) return found.id;
    await client.removeContainer({ containerId: id }, within(signal));
    return undefined;
  };

  return {
    runPodSandbox: (spec, signal) =>
      createOnce(async () => {
        const config = toSandboxConfig(spec, instance);
        return (await client.runPodSandbox({ config, runtimeHandler: spec.runtimeHandler }, within(signal)))
          .podSandboxId;
      }, (id) => settleSandbox(id, spec, signal)),
    createContainer: (spec, signal) =>
      createOnce(async () => {
        const request = {
          podSandboxId: spec.sandboxId,
          config: toContainerConfig(spec, instance, security),
          sandboxConfig: toSandboxConfig(spec.sandbox, instance),
        };
        return (await client.createContainer(request, within(signal))).containerId;
      }, (id) => settleContainer(id, spec, signal)),
  };
}

async function createOnce(
  create: () => Promise<string>,
  settle: (holder: string) => Promise<string | undefined>,
): Promise<string> {
  try {
    return await create();
  } catch (error) {
    const holder = reservedFor(error);
    if (holder === undefined) throw error;
    return await settle(holder) ?? await create();
  }
}

type CreateReason = "CreatePodSandboxError" | "CreateContainerError";

const inFlight = (reason: CreateReason, what: string, id: string): AgentError =>
  new AgentError(reason, `an earlier creation of this ${what} is still under way (${id})`);

/** Never adopts or removes what another agent, or a kubelet, has made. */
function checkOwner(reason: CreateReason, found: PodSandbox | Container, instance: string): void {
  const owner = found.labels[INSTANCE];
  if (owner === instance) return;
  const who = owner === undefined ? "someone else" : `the agent instance "${owner}"`;
  throw new AgentError(reason, `its name in the runtime is taken by ${found.id}, which belongs to ${who}`);
}
