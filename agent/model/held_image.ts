/** An image that is held for the volumes of pods. Not for: holding it (ports.ts). */

/** An image's files, ready to be mounted read-only: what mount(8) takes, options as in fstab(5). */
export interface HeldImage {
  id: string;
  type: string;
  source: string;
  options: string[];
}
