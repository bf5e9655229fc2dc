/** Files that may come and go while they are read. Not for: what is in them. */

export const names = (directory: string): string[] => {
  try {
    return [...Deno.readDirSync(directory)].map((e) => e.name);
  } catch {
    return [];
  }
};

export const text = (path: string): string | undefined => {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
};
