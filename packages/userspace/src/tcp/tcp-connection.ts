import { performance } from "node:perf_hooks";
import type { SocketAddress } from "@svcproxy/topology";
import type { ByteStream, Dial, DialOwner } from "../plane/byte-stream.ts";
import { isLocalFault } from "../plane/system-error.ts";
import type { Admission, AdmissionWaiter } from "../policy/connection-limiter.ts";
import type { EndReason } from "../policy/counters.ts";
import { observe } from "../policy/counters.ts";
import type { EndpointState } from "../policy/endpoint-table.ts";
import { NONE_TRIED, pickEndpoint } from "../policy/endpoint-table.ts";
import type { WorkerFrontend } from "../policy/worker-frontend.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import { proxyHeader } from "./proxy-header.ts";
import { Relay, type RelayHost } from "./relay.ts";
import type { TcpCarrier } from "./tcp-carrier.ts";

/** Sockets of one connection. */
export const DESCRIPTORS_PER_CONNECTION = 2;

/** Waiting to be admitted; dialling; carrying bytes; over. */
type Phase = "waiting" | "dialling" | "open" | "over";

/**
 * One client and its endpoint: from accept through admission and dials to the last byte.
 * The client is not read before an endpoint is connected, so that a dial can be tried elsewhere.
 */
export class TcpConnection implements AdmissionWaiter, DialOwner, RelayHost {
  readonly frontend: WorkerFrontend;
  readonly startedAtMs: number;
  phase: Phase = "waiting";
  reason: EndReason = "done";
  /** The last one that was dialled. */
  endpoint: EndpointState | undefined = undefined;
  attempts = 0;
  dialMs = -1;
  clientAddress: SocketAddress | undefined = undefined;
  readonly #carrier: TcpCarrier<TcpConnection>;
  readonly #client: ByteStream;
  #relay: Relay | undefined = undefined;
  #dial: Dial | undefined = undefined;
  #dialStartedAtMs = 0;
  #candidates: readonly EndpointState[] = NONE_TRIED;
  #tried: readonly EndpointState[] = NONE_TRIED;
  /** Counted by the limiter. */
  #counted = false;
  #sticky: EndpointState | undefined = undefined;

  constructor(
    client: ByteStream,
    { frontend, carrier }: { frontend: WorkerFrontend; carrier: TcpCarrier<TcpConnection> },
  ) {
    this.#client = client;
    this.frontend = frontend;
    this.#carrier = carrier;
    this.startedAtMs = performance.now();
  }

  /** Takes the connection through admission to its first dial; or ends it. */
  start(): void {
    const { frontend } = this;
    frontend.counters.connections++;
    frontend.counters.active++;
    if (!this.#carrier.budget.take("tcp", DESCRIPTORS_PER_CONNECTION)) {
      this.#carrier.budget.force("tcp", DESCRIPTORS_PER_CONNECTION);
      this.#end("max-connections");
      return;
    }
    this.#carrier.waiting.add(this);
    this.#route();
  }

  #route(): void {
    const { frontend } = this;
    const { spec } = frontend;
    const carrier = this.#carrier;
    if (frontend.commonHandling === undefined || carrier.alwaysAsksForClient || asksForClient(frontend)) {
      this.clientAddress = this.#client.peer();
      if (this.clientAddress === undefined) {
        this.#end("client-gone");
        return;
      }
      const { address } = this.clientAddress;
      if (!carrier.classifier.isAllowed(address, { ranges: spec.sourceRanges, vip: spec.address })) {
        this.#end("not-allowed");
        return;
      }
    }
    const kind = this.clientAddress === undefined ? "outside" : carrier.classifier.kindOf(this.clientAddress.address);
    const handling = frontend.commonHandling ?? frontend.handlingFor(kind);
    if (handling.kind !== "forward") {
      this.#end(handling.kind === "drop" ? "not-allowed" : "no-endpoint");
      return;
    }
    this.#candidates = handling.endpoints;
    this.#admit();
  }

  #admit(): void {
    const { clientAddress, frontend } = this;
    const { affinityKey: key, affinityTimeoutMs: timeoutMs } = frontend.spec;
    const counted = this.#carrier.limitsConnections;
    if (clientAddress === undefined || (timeoutMs === 0 && !counted)) {
      this.#dialNext();
      return;
    }
    const client = clientAddress.address;
    const proposal = timeoutMs > 0 ? this.#pick() : undefined;
    if (proposal === undefined) {
      this.#carrier.limiter.admit({ client, counted }, this);
      return;
    }
    // A dead endpoint is no choice, so that affinity gives way; where all are dead the old one is as good as any.
    const usable = this.#candidates.filter((endpoint) => endpoint.isUsable(this.#carrier.coarseNowMs));
    const endpoints = (usable.length > 0 ? usable : this.#candidates).map(({ target }) => target.key);
    const affinity = { key, timeoutMs, endpoints, proposal: proposal.target.key };
    this.#carrier.limiter.admit({ client, counted, affinity }, this);
  }

  onAdmission(admission: Admission): void {
    const admitted = admission.kind === "admitted";
    this.#counted = admitted && this.#carrier.limitsConnections;
    if (this.phase === "over") this.#leave();
    else if (!admitted) this.#end(admission.by);
    else {
      this.#sticky = this.#candidates.find(({ target }) => target.key === admission.endpoint);
      this.#dialNext(this.#sticky);
    }
  }

  #pick(): EndpointState | undefined {
    const { coarseNowMs: nowMs, random } = this.#carrier;
    return pickEndpoint(this.#candidates, { tried: this.#tried, nowMs, random });
  }

  #dialNext(endpoint = this.#pick()): void {
    if (endpoint === undefined) {
      this.#end("dial-failed");
      return;
    }
    this.endpoint = endpoint;
    this.phase = "dialling";
    this.attempts++;
    endpoint.counters.dials++;
    if (this.attempts > 1) this.#countRetry();
    this.#carrier.waiting.delete(this);
    this.#carrier.dialling.add(this);
    this.#dialStartedAtMs = performance.now();
    this.#dial = this.#carrier.plane.dial(endpoint.target, this);
  }

  /** The endpoint that failed is the one whose counter says that another took over. */
  #countRetry(): void {
    const failed = this.#tried.at(-1);
    if (failed !== undefined) failed.counters.retries++;
  }

  /** The dial takes too long. */
  checkDial(nowMs: number): void {
    if (nowMs - this.#dialStartedAtMs < this.#carrier.options.connectTimeoutMs) return;
    this.#dial?.cancel();
    this.onDialFailed("ETIMEDOUT");
  }

  onDialFailed(code: string): void {
    const { endpoint } = this;
    this.#carrier.dialling.delete(this);
    this.#dial = undefined;
    if (endpoint === undefined || this.phase !== "dialling") return;
    endpoint.counters.dialFailures[code] = (endpoint.counters.dialFailures[code] ?? 0) + 1;
    const local = isLocalFault(code);
    this.#carrier.dialFailed({ frontend: this.frontend, endpoint, code, local });
    if (local) {
      this.#end("local-fault");
      return;
    }
    endpoint.failed(this.#carrier.coarseNowMs);
    this.#tried = [...this.#tried, endpoint];
    this.#dialNext();
  }

  onDialled(stream: ByteStream): void {
    const { endpoint } = this;
    this.#carrier.dialling.delete(this);
    this.#dial = undefined;
    if (endpoint === undefined || this.phase !== "dialling") {
      stream.reset();
      return;
    }
    this.phase = "open";
    this.#carrier.open.add(this);
    this.dialMs = performance.now() - this.#dialStartedAtMs;
    endpoint.succeeded();
    endpoint.counters.connections++;
    endpoint.counters.active++;
    observe(endpoint.counters.dialTime, this.dialMs / 1000);
    if (this.#sticky !== undefined && this.#sticky !== endpoint) this.#moveAffinity(endpoint);
    this.#relay = new Relay(
      {
        client: this.#client,
        upstream: stream,
        frontendCounters: this.frontend.counters,
        endpointCounters: endpoint.counters,
      },
      this,
    );
    this.#relay.start(this.#greeting());
  }

  #moveAffinity(endpoint: EndpointState): void {
    const { affinityKey: key, affinityTimeoutMs: timeoutMs } = this.frontend.spec;
    if (this.clientAddress === undefined) return;
    this.#carrier.limiter.move(this.clientAddress.address, { key, timeoutMs, endpoint: endpoint.target.key });
  }

  /** The PROXY header, where the service wants one. */
  #greeting(): Uint8Array | undefined {
    const { proxyProtocol, address, port } = this.frontend.spec;
    if (proxyProtocol === undefined || this.clientAddress === undefined) return undefined;
    return proxyHeader(proxyProtocol, { from: this.clientAddress, to: { address, port } });
  }

  get options(): ProxyOptions {
    return this.#carrier.options;
  }

  coarseNowMs(): number {
    return this.#carrier.coarseNowMs;
  }

  relayEnded(reason: EndReason): void {
    this.#end(reason);
  }

  /** Asked of the kernel where nobody needed to know yet; undefined where the client is gone. */
  client(): SocketAddress | undefined {
    this.clientAddress ??= this.#client.peer();
    return this.clientAddress;
  }

  /** Undefined before an endpoint was connected. */
  get relay(): Relay | undefined {
    return this.#relay;
  }

  /** Ends what has waited too long. Called by the one sweep that all connections share. */
  check(nowMs: number): void {
    const isRemoved = this.endpoint !== undefined && this.endpoint.removedAtMs <= nowMs;
    const reason = isRemoved ? "removed" : this.#relay?.overdue(nowMs);
    if (reason !== undefined) this.#end(reason);
  }

  /** Ends it from outside: the proxy ends, or its endpoint was removed. */
  stop(reason: "shutdown" | "removed"): void {
    this.#end(reason);
  }

  #end(reason: EndReason): void {
    if (this.phase === "over") return;
    const wasOpen = this.phase === "open";
    this.phase = "over";
    this.reason = reason;
    this.#dial?.cancel();
    if (this.#relay === undefined) this.#client.reset();
    else this.#relay.close(reason);
    const carrier = this.#carrier;
    carrier.waiting.delete(this);
    carrier.dialling.delete(this);
    carrier.open.delete(this);
    carrier.budget.give("tcp", DESCRIPTORS_PER_CONNECTION);
    this.#leave();
    const { counters } = this.frontend;
    counters.active--;
    counters.ended[reason]++;
    if (wasOpen && this.endpoint !== undefined) this.endpoint.counters.active--;
    carrier.ended(this);
  }

  #leave(): void {
    if (this.#counted && this.clientAddress !== undefined) this.#carrier.limiter.leave(this.clientAddress.address);
    this.#counted = false;
  }
}

function asksForClient({ spec }: WorkerFrontend): boolean {
  return spec.affinityTimeoutMs > 0 || spec.proxyProtocol !== undefined;
}
