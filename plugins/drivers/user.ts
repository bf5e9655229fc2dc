/** As whom a driver runs: names of passwd and group as numbers, and setpriv(1)'s arguments. Pure. */

export interface Accounts {
  /** Texts of /etc/passwd and /etc/group. */
  passwd: string;
  group: string;
}

const rows = (text: string): string[][] => text.split("\n").map((line) => line.split(":"));
const find = (text: string, who: string | number): string[] | undefined =>
  rows(text).find((row) => row[0] === who) ??
    (/^\d+$/.test(String(who)) ? rows(text).find((row) => row[2] === String(who)) : undefined);

/** What the program's own arguments are put behind, and its home; a text says what is wrong. */
export function runAs(
  accounts: Accounts,
  user: string | number | undefined,
  group: string | number | undefined,
): { argv: string[]; home: string } | string {
  if (user === undefined && group === undefined) return { argv: [], home: "/root" };
  const account = user === undefined ? find(accounts.passwd, 0) : find(accounts.passwd, user);
  const uid = account?.[2] ?? String(user);
  if (!/^\d+$/.test(uid)) return `there is no user "${user}"`;
  const own = account?.[3];
  const gid = group === undefined ? own : find(accounts.group, group)?.[2] ?? String(group);
  if (gid === undefined) return `user ${uid} is not in /etc/passwd: expected a group, too`;
  if (!/^\d+$/.test(gid)) return `there is no group "${group}"`;
  const groups = account === undefined || group !== undefined ? "--clear-groups" : "--init-groups";
  return { argv: ["setpriv", "--reuid", uid, "--regid", gid, groups, "--"], home: account?.[5] || "/" };
}
