/** grpc-js's server with the health service, which answers what a test says. Not for: our own server. */
import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { HealthCheckRequest, HealthCheckResponse } from "../../plugins/rpc/gen/grpc_health.ts";

const definition = (path: string): grpc.ServiceDefinition => ({
  check: {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (m: HealthCheckRequest) => Buffer.from(HealthCheckRequest.encode(m).finish()),
    requestDeserialize: (b: Uint8Array) => HealthCheckRequest.decode(b),
    responseSerialize: (m: HealthCheckResponse) => Buffer.from(HealthCheckResponse.encode(m).finish()),
    responseDeserialize: (b: Uint8Array) => HealthCheckResponse.decode(b),
  },
});

type Call = grpc.ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>;

export interface HealthServer {
  port: number;
  /** Of each request, as it came. */
  seen: grpc.Metadata[];
  /** For good: grpc-js keeps timers and sockets a while. */
  stop(): void;
}

/** @param answer by service: a serving status, an error of gRPC, or nothing, ever. */
export async function startHealthServer(
  answer: (service: string) => number | { code: number; details: string } | undefined,
  host = "127.0.0.1",
  path = "/grpc.health.v1.Health/Check",
): Promise<HealthServer> {
  const server = new grpc.Server();
  const seen: grpc.Metadata[] = [];
  server.addService(definition(path), {
    check(call: Call, callback: grpc.sendUnaryData<HealthCheckResponse>) {
      seen.push(call.metadata);
      const said = answer(call.request.service);
      if (typeof said === "number") callback(null, { status: said });
      else if (said !== undefined) callback(said);
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(
      `${host}:0`,
      grpc.ServerCredentials.createInsecure(),
      (error, bound) => error ? reject(error) : resolve(bound),
    )
  );
  return { port, seen, stop: () => server.forceShutdown() };
}
