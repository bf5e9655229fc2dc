/**
 * The structured log: a constant message and explicit fields, one line each. Fields are scalars, so that no object that
 * may hold a secret is printed by accident. Not for: events and statuses that users are shown.
 */

export type LogValue = string | number | boolean | readonly string[] | undefined;
export type LogFields = Readonly<Record<string, LogValue>>;
export type LogLevel = "error" | "warn" | "info" | "debug";
export type LogFormat = "text" | "json";

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  /** Printed from verbosity 4 on, as the Kubernetes logging conventions have it. */
  debug(message: string, fields?: LogFields): void;
  /** The same log with fields added to every line. */
  with(fields: LogFields): Log;
}

export interface LogOptions {
  /** Takes one line with its newline. */
  write(line: string): void;
  format: LogFormat;
  /** `--v`. */
  verbosity: number;
  /** Milliseconds since the epoch. */
  now(): number;
}

const debugVerbosity = 4;

export function createLog(options: LogOptions, base: LogFields = {}): Log {
  const at = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (level === "debug" && options.verbosity < debugVerbosity) return;
    const time = new Date(options.now()).toISOString();
    options.write(formats[options.format](time, level, message, { ...base, ...fields }) + "\n");
  };
  return {
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
    with: (fields) => createLog(options, { ...base, ...fields }),
  };
}

/** A log that says nothing, for tests and for one-shot commands. */
export const silentLog: Log = createLog({ write: () => {}, format: "text", verbosity: 0, now: () => 0 });

type Formatter = (time: string, level: LogLevel, message: string, fields: LogFields) => string;

const formats: Record<LogFormat, Formatter> = {
  json: (ts, level, msg, fields) => JSON.stringify({ ...fields, ts, level, msg }),
  text(time, level, message, fields) {
    const pairs = Object.entries(fields).filter(([, v]) => v !== undefined).map(([k, v]) =>
      ` ${k}=${quoted(v)}`
    );
    return `${time} ${level.toUpperCase().padEnd(5)} ${quotedText(message, /^[^"\p{Cc}]*$/u)}${
      pairs.join("")
    }`;
  },
};

function quoted(value: LogValue): string {
  return quotedText(Array.isArray(value) ? value.join(",") : String(value), /^[^\s"=\p{Cc}]+$/u);
}

function quotedText(text: string, plain: RegExp): string {
  return plain.test(text) ? text : JSON.stringify(text);
}
