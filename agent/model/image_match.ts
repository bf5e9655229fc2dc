/**
 * Whether a pattern of registries fits an image, as the kubelet decides it for credentials. Source:
 * pkg/credentialprovider, URLsMatch, and Go's filepath.Match. Not for: what an image name means (image_name.ts).
 */

interface Place {
  /** Parts of the host's name. */
  parts: string[];
  port: string;
  /** With its slash; "" is none. */
  path: string;
}

function placeOf(text: string): Place {
  const slash = text.indexOf("/");
  const authority = slash < 0 ? text : text.slice(0, slash);
  const port = /:([^:\]]*)$/.exec(authority);
  const host = port === null ? authority : authority.slice(0, port.index);
  return { parts: host.split("."), port: port?.[1] ?? "", path: slash < 0 ? "" : text.slice(slash) };
}

/** One part of a host as a regular expression; `undefined` when the pattern is malformed. */
function partPattern(glob: string): RegExp | undefined {
  let source = "";
  for (let i = 0; i < glob.length; i++) {
    const c = glob[i]!;
    if (c === "*") source += ".*";
    else if (c === "?") source += ".";
    else if (c === "\\") {
      if (++i === glob.length) return undefined;
      source += RegExp.escape(glob[i]!);
    } else if (c === "[") {
      const group = /^\[(\^?)((?:\\.|[^\]\\])+)\]/.exec(glob.slice(i));
      if (group === null) return undefined;
      source += `[${group[1]}${group[2]!.replace(/[[&~|^]/g, "\\$&")}]`;
      i += group[0].length - 1;
    } else source += RegExp.escape(c);
  }
  try {
    return new RegExp(`^${source}$`, "s");
  } catch {
    return undefined;
  }
}

/** What is wrong with a pattern of `matchImages`; `undefined` when nothing is. */
export function wrongImagePattern(pattern: string): string | undefined {
  const { parts, port } = placeOf(pattern);
  if (pattern === "" || parts[0] === "" || /\s|^\w+:\/\//.test(pattern)) {
    return "expected HOST[:PORT][/PATH] such as *.registry.example/team";
  }
  if (!/^\d*$/.test(port)) return "expected digits as the port";
  return parts.every((part) => partPattern(part) !== undefined)
    ? undefined
    : "its brackets or backslashes are not closed";
}

/**
 * `pattern` is `HOST[:PORT][/PATH]`: each part of the host may have wildcards for that part alone, the port must be
 * equal, the path must be how the image's begins. `image` is a whole name without tag and digest.
 */
export function matchesImage(pattern: string, image: string): boolean {
  const [glob, target] = [placeOf(pattern), placeOf(image)];
  return glob.port === target.port && glob.parts.length === target.parts.length &&
    target.path.startsWith(glob.path) &&
    glob.parts.every((part, i) => partPattern(part)?.test(target.parts[i]!) === true);
}
