import { performance } from "node:perf_hooks";
import type { SocketAddress } from "@svcproxy/topology";
import type { UdpHandle } from "../plane/native-handles.ts";
import { isLocalFault, SystemCallError, systemErrorCode } from "../plane/system-error.ts";
import type { EndReason } from "../policy/counters.ts";
import type { DialFailure } from "../policy/dial-failure.ts";
import type { EndpointState } from "../policy/endpoint-table.ts";
import { NONE_TRIED, pickEndpoint } from "../policy/endpoint-table.ts";
import type { WorkerFrontend } from "../policy/worker-frontend.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import type { DatagramPlane, DatagramSender } from "./udp-sockets.ts";

/** A datagram that could not be sent for a reason that lies here, or in itself. */
const OWN_SEND_FAULTS = new Set(["EAGAIN", "ENOBUFS", "ENOMEM", "EMSGSIZE", "EINVAL"]);

/** Larger questions are not kept for another endpoint: of each of 16,384 clients one may be. */
const MAX_KEPT_BYTES = 4 * 1024;

/** A native socket knows its session, so that one `onmessage` serves all of them. */
interface OwnedUdpHandle extends UdpHandle {
  session?: UdpSession;
}

/** What the sessions of one worker share. */
export interface UdpSessionOwner {
  readonly datagrams: DatagramPlane;
  readonly sender: DatagramSender;
  readonly options: Pick<ProxyOptions, "udpBufferBytes">;
  /** In [0, 1). */
  readonly random: () => number;
  /** Monotonic, moved on by the sweep. */
  readonly coarseNowMs: number;
  readonly dialFailed: (failure: DialFailure) => void;
  /** Keeps the order of use. */
  touch(session: UdpSession): void;
  /** All endpoints that the session could have refuse, and it ends. */
  allRefused(session: UdpSession): void;
  /** The session's endpoint did not answer, and this one took over. */
  moved(session: UdpSession, endpoint: EndpointState): void;
  ended(session: UdpSession): void;
}

/** The frontend that a session belongs to. */
export interface UdpSessionListener {
  readonly frontend: WorkerFrontend;
  /** The socket that answers leave by. */
  readonly handle: UdpHandle;
  forget(session: UdpSession): void;
}

/** What one client says to one frontend: a connected socket of its own to the endpoint, answers leave by the frontend's socket. */
export class UdpSession {
  readonly listener: UdpSessionListener;
  readonly frontend: WorkerFrontend;
  readonly client: SocketAddress;
  /** The client as the system names it, a zone included. */
  readonly answerTo: { readonly address: string; readonly port: number };
  readonly startedAtMs: number;
  endpoint: EndpointState | undefined = undefined;
  attempts = 0;
  bytesFromClient = 0;
  bytesToClient = 0;
  /** The endpoint has answered once. */
  answered = false;
  /** On the carrier's clock. */
  activeAtMs: number;
  reason: EndReason = "done";
  readonly #carrier: UdpSessionOwner;
  readonly #candidates: readonly EndpointState[];
  #tried: readonly EndpointState[] = NONE_TRIED;
  #refusals = 0;
  #socket: OwnedUdpHandle | undefined = undefined;
  /** The last datagram that no answer has come to: it goes to the next endpoint where this one is not there. */
  #unanswered: Uint8Array | undefined = undefined;
  #over = false;

  constructor(
    client: SocketAddress,
    {
      listener,
      carrier,
      candidates,
      answerTo,
    }: {
      listener: UdpSessionListener;
      carrier: UdpSessionOwner;
      candidates: readonly EndpointState[];
      answerTo: UdpSession["answerTo"];
    },
  ) {
    this.client = client;
    this.listener = listener;
    this.answerTo = answerTo;
    this.frontend = listener.frontend;
    this.#carrier = carrier;
    this.#candidates = candidates;
    this.startedAtMs = performance.now();
    this.activeAtMs = carrier.coarseNowMs;
    this.frontend.counters.connections++;
    this.frontend.counters.active++;
  }

  /** @param preferred where affinity leads, as long as it is usable */
  open(preferred: EndpointState | undefined): void {
    this.#connectNext(preferred);
  }

  get isOver(): boolean {
    return this.#over;
  }

  #connectNext(endpoint = this.#pick()): void {
    if (endpoint === undefined) {
      this.end("dial-failed");
      if (this.#refusals > 0 && this.#refusals === this.#tried.length) this.#carrier.allRefused(this);
      return;
    }
    this.#enter(endpoint);
    const { datagrams, options } = this.#carrier;
    try {
      const socket: OwnedUdpHandle = datagrams.connect(endpoint.target, options.udpBufferBytes);
      socket.session = this;
      socket.onmessage = onEndpointMessage;
      socket.recvStart();
      this.#socket = socket;
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (isLocalFault(error.code)) this.end("local-fault");
      else this.#endpointFailed(error.code);
    }
  }

  #pick(): EndpointState | undefined {
    const { coarseNowMs: nowMs, random } = this.#carrier;
    return pickEndpoint(this.#candidates, { tried: this.#tried, nowMs, random });
  }

  #enter(endpoint: EndpointState): void {
    this.endpoint = endpoint;
    this.attempts++;
    this.answered = false;
    endpoint.counters.dials++;
    endpoint.counters.connections++;
    endpoint.counters.active++;
  }

  fromClient(bytes: Uint8Array): void {
    this.#touch();
    this.bytesFromClient += bytes.length;
    this.#unanswered = bytes.length <= MAX_KEPT_BYTES ? bytes : undefined;
    this.#send(bytes);
  }

  #touch(): void {
    const { coarseNowMs } = this.#carrier;
    if (this.activeAtMs === coarseNowMs) return;
    this.activeAtMs = coarseNowMs;
    this.#carrier.touch(this);
  }

  #send(bytes: Uint8Array): void {
    const { endpoint } = this;
    const socket = this.#socket;
    if (socket === undefined || endpoint === undefined) return;
    const failed = this.#carrier.sender.sendConnected(socket, bytes);
    if (failed === undefined) {
      endpoint.counters.bytesToEndpoint += bytes.length;
      return;
    }
    if (OWN_SEND_FAULTS.has(failed)) {
      this.frontend.counters.datagramsDropped++;
      return;
    }
    // An ICMP error that came in the meantime is told by the next call, which has not sent anything then.
    this.#unanswered = bytes;
    this.#endpointFailed(failed);
  }

  fromEndpoint(count: number, bytes: Uint8Array | undefined): void {
    const { endpoint } = this;
    if (this.#over || endpoint === undefined) return;
    if (count < 0) {
      this.#endpointFailed(systemErrorCode(count));
      return;
    }
    if (bytes === undefined) return;
    this.#touch();
    this.#unanswered = undefined;
    if (!this.answered) {
      this.answered = true;
      endpoint.succeeded();
    }
    const { counters } = this.frontend;
    this.bytesToClient += bytes.length;
    endpoint.counters.bytesFromEndpoint += bytes.length;
    if (this.#carrier.sender.sendTo(this.listener.handle, bytes, this.answerTo) === undefined) {
      counters.datagramsToClient++;
      counters.bytesToClient += bytes.length;
    } else counters.datagramsDropped++;
  }

  /** Nobody is there: the session moves on, and what was not answered is said again. */
  #endpointFailed(code: string): void {
    const { endpoint } = this;
    if (endpoint === undefined || this.#over) return;
    endpoint.counters.dialFailures[code] = (endpoint.counters.dialFailures[code] ?? 0) + 1;
    this.#carrier.dialFailed({ frontend: this.frontend, endpoint, code, local: false });
    endpoint.failed(this.#carrier.coarseNowMs);
    this.#tried = [...this.#tried, endpoint];
    if (code === "ECONNREFUSED") this.#refusals++;
    this.#closeSocket();
    this.#connectNext();
    if (this.#over || this.endpoint === endpoint) return;
    endpoint.counters.retries++;
    if (this.endpoint !== undefined) this.#carrier.moved(this, this.endpoint);
    const question = this.#unanswered;
    if (question === undefined) return;
    // A large one, which the failed call itself has brought along, has this one further try.
    if (question.length > MAX_KEPT_BYTES) this.#unanswered = undefined;
    this.#send(question);
  }

  #closeSocket(): void {
    if (this.#socket !== undefined) {
      delete this.#socket.session;
      this.#socket.close();
      this.#socket = undefined;
    }
    if (this.endpoint !== undefined) this.endpoint.counters.active--;
    this.endpoint = undefined;
  }

  end(reason: EndReason): void {
    if (this.#over) return;
    const { endpoint } = this;
    this.#over = true;
    this.reason = reason;
    this.#closeSocket();
    this.endpoint = endpoint;
    this.frontend.counters.active--;
    this.frontend.counters.ended[reason]++;
    this.#carrier.ended(this);
  }
}

function onEndpointMessage(count: number, handle: OwnedUdpHandle, bytes: Uint8Array | undefined): void {
  handle.session?.fromEndpoint(count, bytes);
}
