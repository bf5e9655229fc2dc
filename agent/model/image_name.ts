/** What an image's name says of itself. Not for: pulling, or names as the runtime stores them. */

/** The tag of an image name: `latest` when there is neither tag nor digest, "" with a digest alone. */
export function imageTag(image: string): string {
  const [name = "", digest] = image.split("@", 2);
  const tag = /:([\w][\w.-]{0,127})$/.exec(name)?.[1];
  return tag ?? (digest === undefined ? "latest" : "");
}
