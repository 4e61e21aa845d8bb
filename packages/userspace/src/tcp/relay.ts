import type { ByteStream, StreamOwner } from "../plane/byte-stream.ts";
import type { EndReason, MutableEndpointCounters, MutableFrontendCounters } from "../policy/counters.ts";
import type { ProxyOptions } from "../proxy-options.ts";

/** TCP keep-alive of the endpoint's side is turned on after this much silence: short connections never pay for it. */
const KEEP_ALIVE_AFTER_MS = 10_000;
/**
 * A side for which a write had to wait within this time has a full queue in the kernel, which a RST would throw away: it
 * gets a FIN instead.
 */
const SLOW_SIDE_MS = 5_000;
/** A relay that is silent this long gives its large buffers back. */
const TRIM_AFTER_MS = 2_000;

/** What a relay needs of the connection that it is part of. */
export interface RelayHost {
  readonly options: ProxyOptions;
  /** Monotonic, good to a tenth of a second. */
  coarseNowMs(): number;
  /** The relay is over: the host calls `close`. */
  relayEnded(reason: EndReason): void;
}

export interface RelaySides {
  readonly client: ByteStream;
  readonly upstream: ByteStream;
  readonly frontendCounters: MutableFrontendCounters;
  readonly endpointCounters: MutableEndpointCounters;
}

/** Bytes from a client to its endpoint and back, until both have said FIN, or one is gone. */
export class Relay implements StreamOwner {
  bytesFromClient = 0;
  bytesToClient = 0;
  clientEnded = false;
  endpointEnded = false;
  readonly #host: RelayHost;
  readonly #client: ByteStream;
  readonly #upstream: ByteStream;
  readonly #frontendCounters: MutableFrontendCounters;
  readonly #endpointCounters: MutableEndpointCounters;
  /** Writing to this side fails; what it still has to say is delivered, then it is over. */
  #clientBroken = false;
  #endpointBroken = false;
  /** One side was reset while bytes were on their way to the other: it ends with the last of them, by a FIN. */
  #endsGently = false;
  #reason: EndReason = "done";
  /** When a write to this side had to wait last. */
  #clientWaitedAtMs = Number.NEGATIVE_INFINITY;
  #endpointWaitedAtMs = Number.NEGATIVE_INFINITY;
  #activeAtMs: number;
  #lastPendingBytes = 0;
  #writeMovedAtMs = 0;
  #keepsAlive = false;

  constructor({ client, upstream, frontendCounters, endpointCounters }: RelaySides, host: RelayHost) {
    this.#client = client;
    this.#upstream = upstream;
    this.#frontendCounters = frontendCounters;
    this.#endpointCounters = endpointCounters;
    this.#host = host;
    this.#activeAtMs = host.coarseNowMs();
  }

  /** @param greeting what the endpoint is told before the client's first byte */
  start(greeting?: Uint8Array): void {
    this.#client.owner = this;
    this.#client.isClient = true;
    this.#upstream.owner = this;
    // A greeting that has to wait starts the client when it is written.
    if (greeting === undefined || this.#upstream.write(greeting)) this.#client.startReading();
    this.#upstream.startReading();
  }

  onBytes(from: ByteStream, bytes: Uint8Array): void {
    this.#activeAtMs = this.#host.coarseNowMs();
    const count = bytes.length;
    if (from.isClient) {
      if (this.#endpointBroken) return;
      this.bytesFromClient += count;
      this.#frontendCounters.bytesFromClient += count;
      this.#endpointCounters.bytesToEndpoint += count;
      if (!this.#upstream.write(bytes)) this.#waitForWrite(from);
    } else {
      if (this.#clientBroken) return;
      this.bytesToClient += count;
      this.#frontendCounters.bytesToClient += count;
      this.#endpointCounters.bytesFromEndpoint += count;
      if (!this.#client.write(bytes)) this.#waitForWrite(from);
    }
  }

  /** The other side does not take more: this one is not read until it does, so that memory is bounded. */
  #waitForWrite(source: ByteStream): void {
    source.stopReading();
    this.#lastPendingBytes = 0;
    this.#writeMovedAtMs = this.#host.coarseNowMs();
    this.#noteWait(source);
  }

  #noteWait(source: ByteStream): void {
    if (source.isClient) this.#endpointWaitedAtMs = this.#host.coarseNowMs();
    else this.#clientWaitedAtMs = this.#host.coarseNowMs();
  }

  onWritten(to: ByteStream): void {
    const source = this.#other(to);
    this.#activeAtMs = this.#host.coarseNowMs();
    this.#noteWait(source);
    if (this.#endsGently) this.#host.relayEnded(this.#reason);
    else if (this.clientEnded && this.endpointEnded) this.#endIfWritten();
    else if (!this.#hasEnded(source) && !this.#isBroken(to)) source.startReading();
  }

  onEnd(from: ByteStream): void {
    this.#activeAtMs = this.#host.coarseNowMs();
    if (from.isClient) this.clientEnded = true;
    else this.endpointEnded = true;
    if (this.#isBroken(from)) this.#wasReset(from);
    // With both FINs in, closing the sockets sends ours: two system calls less than a shutdown each.
    else if (this.clientEnded && this.endpointEnded) this.#endIfWritten();
    else this.#other(from).finish();
  }

  #endIfWritten(): void {
    if (this.#pendingBytes() === 0) this.#host.relayEnded("done");
  }

  onFault(from: ByteStream, _code: string, during: "read" | "write"): void {
    const other = this.#other(from);
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
    const waitedAtMs = from.isClient ? this.#endpointWaitedAtMs : this.#clientWaitedAtMs;
    this.#reason = from.isClient ? "client-reset" : "endpoint-reset";
    this.#endsGently = this.#host.coarseNowMs() - waitedAtMs < SLOW_SIDE_MS;
    other.stopReading();
    if (other.pendingBytes() === 0) this.#host.relayEnded(this.#reason);
    else this.#endsGently = true;
  }

  #other(stream: ByteStream): ByteStream {
    return stream.isClient ? this.#upstream : this.#client;
  }

  #hasEnded(stream: ByteStream): boolean {
    return stream.isClient ? this.clientEnded : this.endpointEnded;
  }

  #isBroken(stream: ByteStream): boolean {
    return stream.isClient ? this.#clientBroken : this.#endpointBroken;
  }

  #pendingBytes(): number {
    return this.#client.pendingBytes() + this.#upstream.pendingBytes();
  }

  /** Which of its timeouts is over; undefined where none is. Called by the one sweep that all connections share. */
  overdue(nowMs: number): EndReason | undefined {
    const { idleTimeoutMs, halfClosedTimeoutMs } = this.#host.options;
    if (this.#isStalled(nowMs)) return "stalled-write-timeout";
    const silentMs = nowMs - this.#activeAtMs;
    if (isOver(silentMs, idleTimeoutMs)) return "idle-timeout";
    if (this.clientEnded !== this.endpointEnded && isOver(silentMs, halfClosedTimeoutMs)) return "half-closed-timeout";
    if (silentMs >= TRIM_AFTER_MS) this.#rest(silentMs);
    return undefined;
  }

  #isStalled(nowMs: number): boolean {
    const pending = this.#pendingBytes();
    if (pending === 0) return false;
    if (pending !== this.#lastPendingBytes) {
      this.#lastPendingBytes = pending;
      this.#writeMovedAtMs = nowMs;
      this.#activeAtMs = nowMs;
    }
    return isOver(nowMs - this.#writeMovedAtMs, this.#host.options.stalledWriteTimeoutMs);
  }

  #rest(silentMs: number): void {
    this.#client.trim();
    this.#upstream.trim();
    if (this.#keepsAlive || silentMs < KEEP_ALIVE_AFTER_MS) return;
    this.#keepsAlive = true;
    this.#upstream.keepAlive();
  }

  /** FIN where both sides were heard out, RST for everything else: a cut stream must not look like a whole one. */
  close(reason: EndReason): void {
    if (reason === "done" || (this.#endsGently && reason === this.#reason)) {
      this.#client.close();
      this.#upstream.close();
    } else {
      this.#client.reset();
      this.#upstream.reset();
    }
  }
}

/** @param limitMs 0: no limit */
function isOver(elapsedMs: number, limitMs: number): boolean {
  return limitMs > 0 && elapsedMs >= limitMs;
}
