/**
 * Which packet filter rules the CNI plugins left for one network: from the text of `iptables -S` to the arguments that
 * delete them. Pure. Not for: running them.
 */

const HOSTPORT_CHAINS = ["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"];

/** Splits a rule as `iptables -S` prints it: blanks separate, double quotes hold together, backslash escapes. */
export function splitRule(line: string): string[] {
  const words: string[] = [];
  for (const m of line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)) {
    words.push(m[2] ?? (m[1] ?? "").replace(/\\(.)/g, "$1"));
  }
  return words;
}

/**
 * Argument lists for `iptables -t nat`, in order: the rules that name the network (bridge and portmap write its name
 * into the comment), the chains they jump to, and the shared hostPort chains once nobody uses them. With `ids` only
 * the rules of these sandboxes.
 */
export function planChainRemoval(rules: string, network: string, ids?: readonly string[]): string[][] {
  const appended = rules.split("\n").filter((line) => line.startsWith("-A ")).map(splitRule);
  const named = ids === undefined
    ? [`name: "${network}"`]
    : ids.map((id) => `name: "${network}" id: "${id}"`);
  const ours = appended.filter((words) => words.some((w) => named.some((name) => w.includes(name))));
  const chains = [...new Set(ours.map(target).filter((t) => t !== undefined && /^CNI-/.test(t)))] as string[];
  const own = chains.filter((c) => !HOSTPORT_CHAINS.includes(c));
  const rest = appended.filter((words) => !ours.includes(words) && !own.includes(words[1] ?? ""));
  return [
    ...ours.filter((words) => !own.includes(words[1] ?? "")).map((words) => ["-D", ...words.slice(1)]),
    ...own.map((c) => ["-F", c]),
    ...own.map((c) => ["-X", c]),
    ...planSharedRemoval(rest, rules),
  ];
}

/** Ids of the sandboxes that rules of the network name. */
export function idsInRules(rules: string, network: string): string[] {
  const named = rules.matchAll(/name: \\"([^"\\]*)\\" id: \\"([^"\\]*)\\"/g);
  return [...new Set([...named].filter((m) => m[1] === network).map((m) => m[2]!))];
}

/** Chains of single sandboxes that hold nothing and that nothing leads to: a removal was cut off before its last step. */
export function emptyChains(rules: string): string[] {
  const lines = rules.split("\n").map(splitRule);
  const used = new Set(
    lines.filter((words) => words[0] === "-A").flatMap((words) => [words[1], target(words)]),
  );
  return lines.flatMap(([command, chain = ""]) =>
    command === "-N" && /^CNI-([DS]N-)?[0-9a-f]{16,}$/.test(chain) && !used.has(chain) ? [chain] : []
  );
}

function target(words: string[]): string | undefined {
  const i = words.indexOf("-j");
  return i < 0 ? undefined : words[i + 1];
}

/** portmap makes its top chains anew when it needs them, so empty ones may go. */
function planSharedRemoval(rest: string[][], rules: string): string[][] {
  const present = HOSTPORT_CHAINS.filter((c) => rules.includes(`-N ${c}\n`));
  if (present.length === 0 || rest.some((words) => words[1] === "CNI-HOSTPORT-DNAT")) return [];
  const jumps = rest.filter((words) =>
    present.includes(target(words) ?? "") && !present.includes(words[1] ?? "")
  );
  return [
    ...jumps.map((words) => ["-D", ...words.slice(1)]),
    ...present.map((c) => ["-F", c]),
    ...present.map((c) => ["-X", c]),
  ];
}
