import { performance } from "node:perf_hooks";
import type { SocketAddress } from "@svcproxy/topology";
import type { EndReason } from "../contract.ts";
import type { ByteStream, Dial, DialOwner, StreamOwner } from "../plane/byte-stream.ts";
import { isLocalFault } from "../plane/system-error.ts";
import type { Applicant } from "../policy/admission-desk.ts";
import { observe } from "../policy/counters.ts";
import type { EndpointState } from "../policy/endpoint-table.ts";
import type { FrontendState } from "../policy/frontend-state.ts";
import type { Admission } from "../policy/ledger.ts";
import { NONE_TRIED, pickEndpoint } from "../policy/pick-endpoint.ts";
import { proxyHeader } from "./proxy-header.ts";
import type { TcpCarrier } from "./tcp-carrier.ts";

/** Sockets of one connection. */
export const DESCRIPTORS_PER_CONNECTION = 2;
/** TCP keep-alive of the endpoint's side is turned on after this much silence: short connections never pay for it. */
const KEEP_ALIVE_AFTER_MS = 10_000;
/**
 * A side for which a write had to wait within this time has a full queue in the kernel, which a RST would throw away: it
 * gets a FIN instead.
 */
const SLOW_SIDE_MS = 5_000;
/** A connection that is silent this long gives its large buffers back. */
const TRIM_AFTER_MS = 2_000;

/** Accepted; waiting for the desk; dialling; carrying bytes; over. */
type Phase = "waiting" | "dialling" | "open" | "over";

/**
 * One client and its endpoint: from accept through admission and dials to the last byte.
 * The client is not read before an endpoint is connected, so that a dial can be tried elsewhere.
 */
export class TcpConnection implements Applicant, DialOwner, StreamOwner {
  readonly frontend: FrontendState;
  readonly startedAtMs: number;
  phase: Phase = "waiting";
  reason: EndReason = "done";
  /** The last one that was dialled. */
  endpoint: EndpointState | undefined = undefined;
  attempts = 0;
  dialMs = -1;
  bytesFromClient = 0;
  bytesToClient = 0;
  clientAddress: SocketAddress | undefined = undefined;
  clientEnded = false;
  endpointEnded = false;
  readonly #carrier: TcpCarrier;
  readonly #client: ByteStream;
  #upstream: ByteStream | undefined = undefined;
  #dial: Dial | undefined = undefined;
  #dialStartedAtMs = 0;
  #candidates: readonly EndpointState[] = NONE_TRIED;
  #tried: readonly EndpointState[] = NONE_TRIED;
  /** Counted against the client's own limit. */
  #counted = false;
  #hasSlot = false;
  #sticky: EndpointState | undefined = undefined;
  /** Writing to this side fails; what it still has to say is delivered, then it is over. */
  #clientBroken = false;
  #endpointBroken = false;
  /** One side was reset while bytes were on their way to the other: it ends with the last of them, by a FIN. */
  #endsGently = false;
  /** When a write to this side had to wait last. */
  #clientWaitedAtMs = Number.NEGATIVE_INFINITY;
  #endpointWaitedAtMs = Number.NEGATIVE_INFINITY;
  #activeAtMs: number;
  #lastPendingBytes = 0;
  #writeMovedAtMs = 0;
  #keepsAlive = false;

  constructor(client: ByteStream, { frontend, carrier }: { frontend: FrontendState; carrier: TcpCarrier }) {
    this.#client = client;
    this.frontend = frontend;
    this.#carrier = carrier;
    this.startedAtMs = performance.now();
    this.#activeAtMs = carrier.coarseNowMs;
  }

  /** Takes the connection through admission to its first dial; or ends it. */
  start(): void {
    const { frontend } = this;
    frontend.counters.connections++;
    frontend.counters.active++;
    if (!this.#carrier.budget.take(DESCRIPTORS_PER_CONNECTION)) {
      this.#carrier.budget.force(DESCRIPTORS_PER_CONNECTION);
      this.#end("max-connections");
      return;
    }
    this.#carrier.desk.takeSlot(this);
    // The desk of another process answers later.
    if (this.phase === "waiting") this.#carrier.waiting.add(this);
  }

  onSlot(granted: boolean): void {
    this.#hasSlot = granted;
    if (this.phase === "over") this.#giveSlot();
    else if (!granted) this.#end("max-connections");
    else this.#route();
  }

  #route(): void {
    const { frontend } = this;
    const { spec } = frontend;
    const carrier = this.#carrier;
    if (frontend.commonRoute === undefined || carrier.alwaysAsksForClient || asksForClient(frontend)) {
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
    const route = frontend.commonRoute ?? frontend.routeFor(kind);
    if (route.kind !== "forward") {
      this.#end(route.kind === "drop" ? "not-allowed" : "no-endpoint");
      return;
    }
    this.#candidates = route.endpoints;
    this.#admit();
  }

  #admit(): void {
    const { clientAddress, frontend } = this;
    const { affinityKey: key, affinityTimeoutMs: timeoutMs } = frontend.spec;
    const counted = this.#carrier.countsClients;
    if (clientAddress === undefined || (timeoutMs === 0 && !counted)) {
      this.#dialNext();
      return;
    }
    const client = clientAddress.address;
    const proposal = timeoutMs > 0 ? this.#pick() : undefined;
    if (proposal === undefined) {
      this.#carrier.desk.admit({ client, counted }, this);
      return;
    }
    // A dead endpoint is no choice, so that affinity gives way; where all are dead the old one is as good as any.
    const usable = this.#candidates.filter((endpoint) => endpoint.isUsable(this.#carrier.coarseNowMs));
    const endpoints = (usable.length > 0 ? usable : this.#candidates).map(({ target }) => target.key);
    const affinity = { key, timeoutMs, endpoints, proposal: proposal.target.key };
    this.#carrier.desk.admit({ client, counted, affinity }, this);
  }

  onAdmission(admission: Admission): void {
    const admitted = admission.kind === "admitted";
    this.#counted = admitted && this.#carrier.countsClients;
    if (this.phase === "over") this.#leave();
    else if (!admitted) this.#end("max-per-client");
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
    this.#activeAtMs = this.#carrier.coarseNowMs;
    this.#upstream = stream;
    this.#client.owner = this;
    this.#client.isClient = true;
    stream.owner = this;
    if (this.#sayWhoItIs(stream)) this.#client.startReading();
    stream.startReading();
  }

  #moveAffinity(endpoint: EndpointState): void {
    const { affinityKey: key, affinityTimeoutMs: timeoutMs } = this.frontend.spec;
    if (this.clientAddress === undefined) return;
    this.#carrier.desk.move(this.clientAddress.address, { key, timeoutMs, endpoint: endpoint.target.key });
  }

  /** Sends the PROXY header where the service wants one; false where it still waits to be written. */
  #sayWhoItIs(stream: ByteStream): boolean {
    const { proxyProtocol, address, port } = this.frontend.spec;
    if (proxyProtocol === undefined || this.clientAddress === undefined) return true;
    return stream.write(proxyHeader(proxyProtocol, { from: this.clientAddress, to: { address, port } }));
  }

  onBytes(from: ByteStream, bytes: Uint8Array): void {
    const { endpoint, frontend } = this;
    const upstream = this.#upstream;
    if (endpoint === undefined || upstream === undefined) return;
    this.#activeAtMs = this.#carrier.coarseNowMs;
    const count = bytes.length;
    if (from.isClient) {
      if (this.#endpointBroken) return;
      this.bytesFromClient += count;
      frontend.counters.bytesFromClient += count;
      endpoint.counters.bytesToEndpoint += count;
      if (!upstream.write(bytes)) this.#waitForWrite(from);
    } else {
      if (this.#clientBroken) return;
      this.bytesToClient += count;
      frontend.counters.bytesToClient += count;
      endpoint.counters.bytesFromEndpoint += count;
      if (!this.#client.write(bytes)) this.#waitForWrite(from);
    }
  }

  /** The other side does not take more: this one is not read until it does, so that memory is bounded. */
  #waitForWrite(source: ByteStream): void {
    source.stopReading();
    this.#lastPendingBytes = 0;
    this.#writeMovedAtMs = this.#carrier.coarseNowMs;
    this.#noteWait(source);
  }

  #noteWait(source: ByteStream): void {
    if (source.isClient) this.#endpointWaitedAtMs = this.#carrier.coarseNowMs;
    else this.#clientWaitedAtMs = this.#carrier.coarseNowMs;
  }

  onWritten(to: ByteStream): void {
    const source = this.#other(to);
    if (source === undefined) return;
    this.#activeAtMs = this.#carrier.coarseNowMs;
    this.#noteWait(source);
    if (this.#endsGently) this.#end(this.reason);
    else if (this.clientEnded && this.endpointEnded) this.#endIfWritten();
    else if (!this.#hasEnded(source) && !this.#isBroken(to)) source.startReading();
  }

  onEnd(from: ByteStream): void {
    this.#activeAtMs = this.#carrier.coarseNowMs;
    if (from.isClient) this.clientEnded = true;
    else this.endpointEnded = true;
    if (this.#isBroken(from)) this.#wasReset(from);
    // With both FINs in, closing the sockets sends ours: two system calls less than a shutdown each.
    else if (this.clientEnded && this.endpointEnded) this.#endIfWritten();
    else this.#other(from)?.finish();
  }

  #endIfWritten(): void {
    if (this.#client.pendingBytes() === 0 && (this.#upstream?.pendingBytes() ?? 0) === 0) this.#end("done");
  }

  onFault(from: ByteStream, _code: string, during: "read" | "write"): void {
    const other = this.#other(from);
    if (other === undefined) return;
    if (during === "read") {
      this.#wasReset(from);
      return;
    }
    // What it said before it went is still to be read: the answer that came with the RST.
    if (from.isClient) this.#clientBroken = true;
    else this.#endpointBroken = true;
    other.stopReading();
    if (this.#hasEnded(from)) this.#wasReset(from);
    else if (other.pendingBytes() === 0) from.startReading();
  }

  /** One side is gone: a RST for the other, but a FIN where bytes are on their way to it. */
  #wasReset(from: ByteStream): void {
    const other = this.#other(from);
    if (other === undefined) return;
    const waitedAtMs = from.isClient ? this.#endpointWaitedAtMs : this.#clientWaitedAtMs;
    this.reason = from.isClient ? "client-reset" : "endpoint-reset";
    this.#endsGently = this.#carrier.coarseNowMs - waitedAtMs < SLOW_SIDE_MS;
    other.stopReading();
    if (other.pendingBytes() === 0) this.#end(this.reason);
    else this.#endsGently = true;
  }

  #other(stream: ByteStream): ByteStream | undefined {
    return stream.isClient ? this.#upstream : this.#client;
  }

  #hasEnded(stream: ByteStream): boolean {
    return stream.isClient ? this.clientEnded : this.endpointEnded;
  }

  #isBroken(stream: ByteStream): boolean {
    return stream.isClient ? this.#clientBroken : this.#endpointBroken;
  }

  /** Ends what has waited too long. Called by the one sweep that all connections share. */
  check(nowMs: number): void {
    const { options } = this.#carrier;
    const silentMs = nowMs - this.#activeAtMs;
    if (this.endpoint !== undefined && this.endpoint.removedAtMs <= nowMs) this.#end("removed");
    else if (this.#isStalled(nowMs)) this.#end("stalled-write-timeout");
    else if (options.idleTimeoutMs > 0 && silentMs >= options.idleTimeoutMs) this.#end("idle-timeout");
    else if (this.clientEnded !== this.endpointEnded && isOver(silentMs, options.halfClosedTimeoutMs)) {
      this.#end("half-closed-timeout");
    } else if (silentMs >= TRIM_AFTER_MS) this.#rest(silentMs);
  }

  #isStalled(nowMs: number): boolean {
    const pending = this.#client.pendingBytes() + (this.#upstream?.pendingBytes() ?? 0);
    if (pending === 0) return false;
    if (pending !== this.#lastPendingBytes) {
      this.#lastPendingBytes = pending;
      this.#writeMovedAtMs = nowMs;
      this.#activeAtMs = nowMs;
    }
    return isOver(nowMs - this.#writeMovedAtMs, this.#carrier.options.stalledWriteTimeoutMs);
  }

  #rest(silentMs: number): void {
    this.#client.trim();
    this.#upstream?.trim();
    if (this.#keepsAlive || silentMs < KEEP_ALIVE_AFTER_MS) return;
    this.#keepsAlive = true;
    this.#upstream?.keepAlive();
  }

  /** Ends it from outside: the proxy ends, or its endpoint was removed. */
  stop(reason: "shutdown" | "removed"): void {
    this.#end(reason);
  }

  /** FIN where both sides were heard out, RST for everything else: a cut stream must not look like a whole one. */
  #end(reason: EndReason): void {
    if (this.phase === "over") return;
    const wasOpen = this.phase === "open";
    this.phase = "over";
    this.reason = reason;
    this.#dial?.cancel();
    const upstream = this.#upstream;
    if (reason === "done" || this.#endsGently) {
      this.#client.close();
      upstream?.close();
    } else {
      this.#client.reset();
      upstream?.reset();
    }
    const carrier = this.#carrier;
    carrier.waiting.delete(this);
    carrier.dialling.delete(this);
    carrier.open.delete(this);
    carrier.budget.give(DESCRIPTORS_PER_CONNECTION);
    this.#giveSlot();
    this.#leave();
    const { counters } = this.frontend;
    counters.active--;
    counters.ended[reason]++;
    if (wasOpen && this.endpoint !== undefined) this.endpoint.counters.active--;
    carrier.ended(this);
  }

  #giveSlot(): void {
    if (this.#hasSlot) this.#carrier.desk.giveSlot();
    this.#hasSlot = false;
  }

  #leave(): void {
    if (this.#counted && this.clientAddress !== undefined) this.#carrier.desk.leave(this.clientAddress.address);
    this.#counted = false;
  }
}

function asksForClient({ spec }: FrontendState): boolean {
  return spec.affinityTimeoutMs > 0 || spec.proxyProtocol !== undefined;
}

/** @param limitMs 0: no limit */
function isOver(elapsedMs: number, limitMs: number): boolean {
  return limitMs > 0 && elapsedMs >= limitMs;
}
