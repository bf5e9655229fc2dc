/** Why a node does not come into a cluster, and what its user can do about it. Not for: refusals of single requests (api_error.ts). */

export class JoinFailure extends Error {
  override readonly name = "JoinFailure";
  /** A sentence with a command, or what to look at. */
  readonly remedy: string;
  /** Trying again may help without anybody doing anything. */
  readonly retry: boolean;
  constructor(message: string, remedy: string, options: { retry?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.remedy = remedy;
    this.retry = options.retry ?? false;
  }
}

export const newToken =
  "on a control plane node run `kubeadm token create --print-join-command`, then here what it prints, with agent for kubeadm";
