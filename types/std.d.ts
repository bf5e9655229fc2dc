// Ambient types of the @std modules. Where they come from npm (deno-std) they are plain JavaScript; this file gives the
// parts we use their types, as the modules document them. Not for anything else: other packages ship types of their own.

declare module "@std/path" {
  /** Path separator of this system. */
  export const SEPARATOR: "/" | "\\";
  export const DELIMITER: ":" | ";";
  export function join(path?: string, ...paths: string[]): string;
  export function dirname(path: string): string;
  export function basename(path: string, suffix?: string): string;
  export function extname(path: string): string;
  export function resolve(...segments: string[]): string;
  export function relative(from: string, to: string): string;
  export function isAbsolute(path: string): boolean;
  export function normalize(path: string): string;
  export function fromFileUrl(url: string | URL): string;
  export function toFileUrl(path: string): URL;
  export function common(paths: string[]): string;
  export interface ParsedPath {
    root: string;
    dir: string;
    base: string;
    ext: string;
    name: string;
  }
  export function parse(path: string): ParsedPath;
  export function format(path: Partial<ParsedPath>): string;
  export function globToRegExp(
    glob: string,
    options?: { extended?: boolean; globstar?: boolean; caseInsensitive?: boolean },
  ): RegExp;
}

declare module "@std/yaml" {
  /** `core` reads YAML 1.2's core schema; `default` adds merge keys, dates and binary. */
  export type SchemaType = "failsafe" | "json" | "core" | "default" | "extended";
  export interface ParseOptions {
    schema?: SchemaType;
    /** Later keys override earlier ones instead of being an error. */
    allowDuplicateKeys?: boolean;
    onWarning?(error: Error): void;
  }
  /** @throws {SyntaxError} when the text is not YAML or holds more than one document. */
  export function parse(content: string, options?: ParseOptions): unknown;
  /** @throws {SyntaxError} when the text is not YAML. An empty document is `null`. */
  export function parseAll(content: string, options?: ParseOptions): unknown;
  export interface StringifyOptions {
    indent?: number;
    arrayIndent?: boolean;
    skipInvalid?: boolean;
    flowLevel?: number;
    styles?: Record<
      string,
      "lowercase" | "uppercase" | "camelcase" | "decimal" | "binary" | "octal" | "hexadecimal"
    >;
    schema?: SchemaType;
    sortKeys?: boolean | ((a: string, b: string) => number);
    lineWidth?: number;
    useAnchors?: boolean;
    compatMode?: boolean;
    condenseFlow?: boolean;
    quoteStyle?: "'" | '"';
  }
  /** @throws {TypeError} when the value holds something YAML cannot say. */
  export function stringify(value: unknown, options?: StringifyOptions): string;
}

declare module "@std/flags" {
  /** Values of the options; the words that are none stand in `_`, what follows `--` in `--` where asked for. */
  export interface Args {
    _: (string | number)[];
    "--"?: string[];
    [option: string]: unknown;
  }
  export interface ParseOptions {
    "--"?: boolean;
    alias?: Record<string, string | readonly string[]>;
    boolean?: boolean | string | readonly string[];
    default?: Record<string, unknown>;
    stopEarly?: boolean;
    string?: string | readonly string[];
    collect?: string | readonly string[];
    negatable?: string | readonly string[];
    /** Called for each option that is not named above; `false` keeps it out of the result. */
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  export function parseArgs(args: readonly string[], options?: ParseOptions): Args;
}

declare module "@std/assert" {
  // deno-lint-ignore no-explicit-any -- a constructor of any arguments, as the standard library declares it
  type Constructor<T> = abstract new (...args: any[]) => T;
  export class AssertionError extends Error {
    constructor(message: string, options?: ErrorOptions);
  }
  export function assert(expr: unknown, msg?: string): asserts expr;
  export function assertFalse(expr: unknown, msg?: string): void;
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T;
  export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertAlmostEquals(
    actual: number,
    expected: number,
    tolerance?: number,
    msg?: string,
  ): void;
  export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T>;
  export function assertGreater<T>(actual: T, expected: T, msg?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertLess<T>(actual: T, expected: T, msg?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertInstanceOf<T>(
    actual: unknown,
    expected: Constructor<T>,
    msg?: string,
  ): asserts actual is T;
  export function assertNotInstanceOf<T>(actual: unknown, unexpected: Constructor<T>, msg?: string): void;
  export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, msg?: string): void;
  export function assertStringIncludes(actual: string, expected: string, msg?: string): void;
  export function assertMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;
  // `object`: interfaces carry no index signature, so a Record would refuse them.
  export function assertObjectMatch(actual: object, expected: object, msg?: string): void;
  export function assertThrows(fn: () => unknown, msg?: string): unknown;
  export function assertThrows<E extends Error>(
    fn: () => unknown,
    ErrorClass: Constructor<E>,
    msgIncludes?: string,
    msg?: string,
  ): E;
  export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
  export function assertRejects<E extends Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass: Constructor<E>,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
  export function assertIsError<E extends Error>(
    error: unknown,
    ErrorClass?: Constructor<E>,
    msgMatches?: string | RegExp,
    msg?: string,
  ): asserts error is E;
  export function equal(a: unknown, b: unknown): boolean;
  export function fail(msg?: string): never;
  export function unreachable(msg?: string): never;
  export function unimplemented(msg?: string): never;
}
