/**
 * How a test tells the driver to misbehave, and learns what it was asked: a file of knobs, read at each call, and a file
 * that each call is written to. Not for: what the calls do.
 */
import { join } from "@std/path";
import { Code, RpcError } from "../../../plugins/rpc/mod.ts";

/** What becomes of a call. Several together: late, then before, then the effect, then after. */
export interface Knob {
  /** How many calls it is for; all unless told. */
  times?: number;
  /** Milliseconds before anything happens. */
  late?: number;
  /** Never answers, and does nothing. */
  hang?: boolean;
  /** The effect happens, the answer never comes. */
  hangAfter?: boolean;
  /** Fails with a gRPC code, and does nothing. */
  fail?: { code: keyof typeof Code; message?: string };
  /** The effect happens, and the call fails all the same. */
  failAfter?: { code: keyof typeof Code; message?: string };
  /** The process ends at once. */
  crash?: "before" | "after";
}

/** By method of the gRPC service: `NodePublishVolume`. */
export type Knobs = Record<string, Knob>;

export interface Call {
  method: string;
  request: Record<string, unknown>;
  /** Monotonic microseconds when it came and when it was answered; no end: it never was. */
  phase: "begin" | "end";
  outcome?: string;
}

export const knobsFile = (state: string) => join(state, "knobs.json");
export const callsFile = (state: string) => join(state, "calls.jsonl");

const toText = (_key: string, value: unknown) => typeof value === "bigint" ? Number(value) : value;

export function createKnobs(state: string) {
  const used = new Map<string, number>();
  let text = "";

  function current(method: string): Knob {
    let now = "{}";
    try {
      now = Deno.readTextFileSync(knobsFile(state));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    if (now !== text) used.clear();
    text = now;
    const knob = (JSON.parse(now) as Knobs)[method];
    if (knob === undefined) return {};
    const count = (used.get(method) ?? 0) + 1;
    used.set(method, count);
    return knob.times !== undefined && count > knob.times ? {} : knob;
  }

  const note = (call: Call) =>
    Deno.writeTextFileSync(callsFile(state), JSON.stringify(call, toText) + "\n", { append: true });

  const failure = ({ code, message }: { code: keyof typeof Code; message?: string }) =>
    new RpcError(Code[code], message ?? "as the test wants it");

  const forever = () => new Promise<never>(() => {});

  /** Does what a call does, as the knobs want it. */
  return async function turn<Req extends object, Res>(
    method: string,
    request: Req,
    effect: (request: Req) => Res | Promise<Res>,
  ): Promise<Res> {
    const knob = current(method);
    const asked = request as Record<string, unknown>;
    note({ method, request: asked, phase: "begin" });
    try {
      if (knob.late !== undefined) await new Promise((resolve) => setTimeout(resolve, knob.late));
      if (knob.hang) await forever();
      if (knob.crash === "before") Deno.exit(70);
      if (knob.fail !== undefined) throw failure(knob.fail);
      const answer = await effect(request);
      if (knob.crash === "after") Deno.exit(71);
      if (knob.hangAfter) await forever();
      if (knob.failAfter !== undefined) throw failure(knob.failAfter);
      note({ method, request: asked, phase: "end", outcome: "OK" });
      return answer;
    } catch (error) {
      note({ method, request: asked, phase: "end", outcome: error instanceof Error ? error.message : "?" });
      throw error;
    }
  };
}

export type Turn = ReturnType<typeof createKnobs>;
