/** What was asked of the double, for tests to look at. Not for: bodies. */

export interface Seen {
  /** Milliseconds since the epoch. */
  at: number;
  method: string;
  path: string;
  query: URLSearchParams;
  /** "" until it is known. */
  user: string;
  /** Of authorisation; "" for what is no resource. */
  verb: string;
  /** `pods`, `pods/status`; "" for what is no resource. */
  resource: string;
  namespace?: string;
  name?: string;
  /** 0 until it is answered. */
  status: number;
}

export interface OpenWatch {
  seen: Seen;
  /** Normally, as after its time. */
  end(): void;
  /** The connection breaks, with `half` in the middle of an event. */
  cut(half: boolean): void;
}
