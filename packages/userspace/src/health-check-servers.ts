import { createServer, type Server } from "node:http";
import type { HealthCheck } from "@svcproxy/topology";
import type { Logger } from "pino";

/** A port that is taken (by a predecessor that is about to let it go, say) is tried again this often. */
const RETRY_MS = 250;

/**
 * Answers load balancers on `healthCheckNodePort`: 200 where this host has ready endpoints of the service, else 503.
 * @see kubernetes pkg/proxy/healthcheck/service_health.go
 */
export class HealthCheckServers {
  readonly #logger: Logger;
  readonly #servers = new Map<HealthCheck["port"], HealthCheckServer>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  apply(checks: readonly HealthCheck[]): void {
    const current = new Map(checks.map((check) => [check.port, check]));
    for (const [port, server] of this.#servers) {
      if (current.has(port)) continue;
      server.close();
      this.#servers.delete(port);
    }
    for (const [port, check] of current) {
      const known = this.#servers.get(port);
      if (known === undefined) this.#servers.set(port, new HealthCheckServer(check, this.#logger));
      else known.check = check;
    }
  }

  close(): void {
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
  }
}

class HealthCheckServer {
  check: HealthCheck;
  readonly #server: Server;
  #retry: NodeJS.Timeout | undefined;
  #complained = false;

  constructor(check: HealthCheck, logger: Logger) {
    this.check = check;
    this.#server = createServer((_request, response) => {
      const { service, localReadyEndpoints } = this.check;
      response.writeHead(localReadyEndpoints > 0 ? 200 : 503, {
        "content-type": "application/json",
        connection: "close", // a check that keeps its connection would hold up the end of the proxy
      });
      const { namespace, name } = service;
      response.end(`${JSON.stringify({ service: { namespace, name }, localEndpoints: localReadyEndpoints })}\n`);
    });
    this.#server.on("error", (error) => {
      if (!this.#complained) logger.warn({ port: check.port }, `cannot answer health checks: ${error.message}`);
      this.#complained = true;
      this.#retry = setTimeout(() => this.#listen(), RETRY_MS);
    });
    this.#listen();
  }

  #listen(): void {
    this.#server.listen({ port: this.check.port });
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
