/**
 * Which of several sockets has a name: the one that was bound last, as in a rolling update of a driver, where the new
 * one comes before the old one goes. Not for: how registration goes.
 */

export interface Claimant {
  /** When its socket was bound. */
  readonly bornMs: number;
  /** A newer one has taken the name. */
  displaced(): void;
  /** Whoever had the name has left. */
  vacated(): void;
}

export interface Names {
  /** Runs `register` when no newer claimant has the name; says whether it did. One at a time for each name. */
  claim(name: string, claimant: Claimant, register: () => Promise<void>): Promise<boolean>;
  /** Runs `deregister` if the name is still the claimant's, which then no longer waits for it. */
  release(name: string, claimant: Claimant, deregister: () => void): Promise<void>;
}

interface Name {
  owner: Claimant | undefined;
  waiting: Set<Claimant>;
  turn: Promise<unknown>;
  /** Turns taken or waited for. */
  turns: number;
}

export function createNames(): Names {
  const names = new Map<string, Name>();

  async function inTurn<T>(key: string, act: (name: Name) => T | Promise<T>): Promise<T> {
    const name = names.get(key) ??
      { owner: undefined, waiting: new Set<Claimant>(), turn: Promise.resolve(), turns: 0 };
    names.set(key, name);
    name.turns++;
    const turn = name.turn.then(() => act(name));
    name.turn = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      const unused = --name.turns === 0 && name.owner === undefined && name.waiting.size === 0;
      if (unused) names.delete(key);
    }
  }

  return {
    claim: (key, claimant, register) =>
      inTurn(key, async (name) => {
        const { owner } = name;
        if (owner !== undefined && owner !== claimant && owner.bornMs > claimant.bornMs) {
          name.waiting.add(claimant);
          return false;
        }
        await register();
        name.owner = claimant;
        name.waiting.delete(claimant);
        if (owner !== undefined && owner !== claimant) {
          name.waiting.add(owner);
          owner.displaced();
        }
        return true;
      }),
    release: (key, claimant, deregister) =>
      inTurn(key, (name) => {
        name.waiting.delete(claimant);
        if (name.owner !== claimant) return;
        name.owner = undefined;
        deregister();
        for (const other of name.waiting) other.vacated();
      }),
  };
}
