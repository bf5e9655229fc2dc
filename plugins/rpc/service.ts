/**
 * The shapes that tie generated definitions to clients and servers: what ts-proto writes with
 * outputServices=generic-definitions, the types derived from it, and the binding of handlers. No transport.
 */

/** What ts-proto generates for a message: its codec and constructor. */
export interface MessageFns<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(input: Uint8Array): T;
  fromPartial(object: DeepPartial<T>): T;
}

export interface MethodDefinition<Req = unknown, Res = unknown> {
  /** As in the .proto file: `RunPodSandbox`. */
  readonly name: string;
  readonly requestType: MessageFns<Req>;
  readonly requestStream: boolean;
  readonly responseType: MessageFns<Res>;
  readonly responseStream: boolean;
}

export interface ServiceDefinition {
  /** With the package: `runtime.v1.RuntimeService`. */
  readonly fullName: string;
  readonly methods: Readonly<Record<string, MethodDefinition>>;
}

type Builtin = Uint8Array | string | number | boolean | bigint | undefined;

/** A message with any part left out; the rest takes proto3's zero values. As ts-proto defines it. */
export type DeepPartial<T> = T extends bigint ? string | number | bigint
  : T extends Builtin ? T
  : T extends Array<infer U> ? Array<DeepPartial<U>>
  : T extends ReadonlyArray<infer U> ? ReadonlyArray<DeepPartial<U>>
  : T extends object ? { [K in keyof T]?: DeepPartial<T[K]> }
  : Partial<T>;

export interface CallOptions {
  /** Abort cancels the call on the wire; it then rejects with CANCELLED. */
  signal: AbortSignal;
  /** Deadline in milliseconds from now, told to the server too; past it the call rejects with DEADLINE_EXCEEDED. */
  timeoutMs?: number;
  /** Request headers such as `containerd-namespace`. Lower-case names, printable ASCII values. */
  metadata?: Record<string, string>;
}

export type RequestOf<M extends MethodDefinition> = ReturnType<M["requestType"]["decode"]>;
export type ResponseOf<M extends MethodDefinition> = ReturnType<M["responseType"]["decode"]>;

type Streamed<Flag extends boolean, T> = Flag extends true ? AsyncIterable<T> : T;
type Answered<Flag extends boolean, T> = Flag extends true ? AsyncIterable<T> : Promise<T>;

/**
 * One function per method. Unary methods resolve with the response; server streaming methods start with the first
 * `next()`, and leaving their `for await` cancels the call on the wire. All reject with RpcError.
 */
export type Client<S extends ServiceDefinition> = {
  readonly [K in keyof S["methods"]]: (
    request: Streamed<S["methods"][K]["requestStream"], DeepPartial<RequestOf<S["methods"][K]>>>,
    options: CallOptions,
  ) => Answered<S["methods"][K]["responseStream"], ResponseOf<S["methods"][K]>>;
};

export interface CallContext {
  /** Aborts when the client cancels or goes away, the deadline passes, or the server ends; handlers must then end. */
  readonly signal: AbortSignal;
  /** Request headers without HTTP's and gRPC's own. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Handlers by the definition's method keys; a method without one answers UNIMPLEMENTED. Throw RpcError for a status. */
export type Handlers<S extends ServiceDefinition> = {
  readonly [K in keyof S["methods"]]?: (
    request: Streamed<S["methods"][K]["requestStream"], RequestOf<S["methods"][K]>>,
    context: CallContext,
  ) => Answered<S["methods"][K]["responseStream"], DeepPartial<ResponseOf<S["methods"][K]>>>;
};

/** A handler as the server calls it; `bindService` is what makes it from a typed one. */
export type AnyHandler = (
  request: unknown,
  context: CallContext,
) => Promise<unknown> | AsyncIterable<unknown>;

export interface BoundMethod {
  readonly definition: MethodDefinition;
  readonly handler: AnyHandler;
}

/** A service ready to be served: its methods by path, `/package.Service/Method`. */
export interface BoundService {
  readonly methods: ReadonlyMap<string, BoundMethod>;
}

/** Binds handlers to the definition that names and types them. */
export function bindService<S extends ServiceDefinition>(definition: S, handlers: Handlers<S>): BoundService {
  const methods = new Map<string, BoundMethod>();
  for (const [key, method] of Object.entries(definition.methods)) {
    const handler = handlers[key as keyof S["methods"]];
    if (handler === undefined) continue;
    methods.set(methodPath(definition, method), { definition: method, handler: handler as AnyHandler });
  }
  return { methods };
}

export function methodPath(service: ServiceDefinition, method: MethodDefinition): string {
  return `/${service.fullName}/${method.name}`;
}
