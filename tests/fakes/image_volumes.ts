/**
 * ImageVolumes in memory: an image is a directory that the test gives; what is held is remembered until it is released.
 * Not for: layers.
 */
import { AgentError } from "../../agent/model/errors.ts";
import type { ImageVolumes } from "../../agent/ports.ts";

export interface FakeImageVolumes extends ImageVolumes {
  /** `UID VOLUME/CONTENT` of what is held. */
  readonly held: Set<string>;
}

/** @param directories the files of images, by id */
export function createFakeImageVolumes(
  directories: Readonly<Record<string, string>> = {},
  byRuntime = false,
): FakeImageVolumes {
  const held = new Set<string>();
  return {
    held,
    byRuntime: () => Promise.resolve(byRuntime),
    hold(image, uid, id) {
      const source = directories[image];
      if (source === undefined) {
        return Promise.reject(new AgentError("CreateContainerConfigError", `there is no image ${image}`));
      }
      held.add(`${uid} ${id}`);
      return Promise.resolve({ id, type: "bind", source, options: ["ro", "rbind"] });
    },
    release(uid, keep) {
      for (const one of held) {
        const [owner, id = ""] = one.split(" ");
        if (owner === uid && !keep.has(id)) held.delete(one);
      }
      return Promise.resolve();
    },
  };
}
