import type { Server, ServerResponse } from "node:http";
import { formatSocketAddress, type HealthCheck, type IpAddress } from "@svcproxy/topology";
import type { Logger } from "pino";
import { ConnectionPool, createBoundedServer } from "./bounded-server.ts";

/** Balancers that ask at a time, at all ports together; see `RESERVED_DESCRIPTORS` of the proxy. */
const MAX_CONNECTIONS = 32;

/** A port that is taken (by a predecessor that is about to let it go, say) is tried again this often. */
const RETRY_MS = 250;

/** What the servers answer by, beside the plan. */
export interface HealthCheckOptions {
  /** Whether changes are carried out here, asked at each check: endpoints that were counted long ago may be gone. */
  readonly isHealthy: () => boolean;
  readonly logger: Logger;
}

/**
 * Answers load balancers on `healthCheckNodePort`: 200 where this host has ready endpoints of the service and keeps up with changes, else 503.
 * @see kubernetes pkg/proxy/healthcheck/service_health.go
 */
export class HealthCheckServers {
  readonly #options: HealthCheckOptions;
  readonly #servers = new Map<string, HealthCheckServer>();
  readonly #pool = new ConnectionPool(MAX_CONNECTIONS);

  #isClosed = false;

  constructor(options: HealthCheckOptions) {
    this.#options = options;
  }

  /** Does nothing any more once it is closed. */
  apply(checks: readonly HealthCheck[]): void {
    if (this.#isClosed) return;
    const current = new Map(
      checks.flatMap((check) =>
        (check.addresses ?? [undefined]).map((address) => [placeOf(check, address), { check, address }] as const),
      ),
    );
    for (const [place, server] of this.#servers) {
      if (current.has(place)) continue;
      server.close();
      this.#servers.delete(place);
    }
    for (const [place, { check, address }] of current) {
      const known = this.#servers.get(place);
      if (known !== undefined) known.check = check;
      else this.#servers.set(place, new HealthCheckServer({ ...this.#options, check, address, pool: this.#pool }));
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
  }
}

function placeOf({ port }: HealthCheck, address: IpAddress | undefined): string {
  return address === undefined ? `*:${port}` : formatSocketAddress({ address, port });
}

class HealthCheckServer {
  check: HealthCheck;
  readonly #address: IpAddress | undefined;
  readonly #server: Server;
  #retry: NodeJS.Timeout | undefined;
  #complained = false;

  constructor({
    check,
    address,
    isHealthy,
    logger,
    pool,
  }: HealthCheckOptions & {
    check: HealthCheck;
    address: IpAddress | undefined;
    pool: ConnectionPool;
  }) {
    this.check = check;
    this.#address = address;
    this.#server = createBoundedServer(
      (_request, response) => answer(response, { check: this.check, isHealthy: isHealthy() }),
      pool,
    );
    this.#server.on("error", (error) => {
      const { namespace, name } = this.check.service;
      const what = `health checks of ${namespace}/${name} on port ${check.port}`;
      if (!this.#complained)
        logger.warn({ port: check.port }, `cannot answer ${what}, it is tried again: ${error.message}`);
      this.#complained = true;
      this.#retry = setTimeout(() => this.#listen(), RETRY_MS);
    });
    this.#listen();
  }

  #listen(): void {
    const { port } = this.check;
    this.#server.listen(this.#address === undefined ? { port } : { port, host: this.#address });
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function answer(
  response: ServerResponse,
  { check, isHealthy }: { readonly check: HealthCheck; readonly isHealthy: boolean },
): void {
  const { service, localReadyEndpoints } = check;
  const body = JSON.stringify({
    service: { namespace: service.namespace, name: service.name },
    localEndpoints: localReadyEndpoints,
    // One that stops or drains closes these servers first.
    serviceProxyHealthy: isHealthy,
  });
  response.writeHead(localReadyEndpoints > 0 && isHealthy ? 200 : 503, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-content-type-options": "nosniff",
    // As kube-proxy has it, also where the answer is 503.
    "x-load-balancing-endpoint-weight": localReadyEndpoints,
    connection: "close", // a check that keeps its connection would hold up the end of the proxy
  });
  response.end(body);
}
