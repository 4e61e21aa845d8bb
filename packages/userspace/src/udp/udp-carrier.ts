import { performance } from "node:perf_hooks";
import { parseIpAddress, parsePort, type SocketAddress } from "@svcproxy/topology";
import type { DescriptorBudget } from "../plane/descriptor-budget.ts";
import type { AddressInfo, UdpHandle } from "../plane/native-handles.ts";
import { AffinityTable } from "../policy/affinity-table.ts";
import type { ClientClassifier } from "../policy/client-classifier.ts";
import type { EndReason } from "../policy/counters.ts";
import type { DialFailure } from "../policy/dial-failure.ts";
import type { EndpointState } from "../policy/endpoint-table.ts";
import type { WorkerFrontend } from "../policy/worker-frontend.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import { UdpSession, type UdpSessionListener, type UdpSessionOwner } from "./udp-session.ts";
import type { DatagramPlane, DatagramSender } from "./udp-sockets.ts";

/** While the proxy drains a session is over when nothing has moved for this long: nobody can ask any more. */
const DRAINED_AFTER_MS = 1_000;

export interface UdpCarrierOptions {
  readonly datagrams: DatagramPlane;
  readonly options: ProxyOptions;
  readonly budget: DescriptorBudget;
  readonly random: () => number;
  readonly dialFailed: (failure: DialFailure) => void;
  readonly sessionEnded: (session: UdpSession) => void;
  /** All endpoints of a frontend that does the same for every client refuse. */
  readonly allRefused: (frontend: WorkerFrontend) => void;
  /** A new client finds as many sessions as there may be, and none that can go. */
  readonly noRoom: (frontend: WorkerFrontend) => void;
}

/** The UDP sessions of one worker. */
export class UdpCarrier implements UdpSessionOwner {
  readonly datagrams: DatagramPlane;
  readonly options: ProxyOptions;
  readonly random: () => number;
  readonly sender: DatagramSender;
  readonly dialFailed: (failure: DialFailure) => void;
  readonly noRoom: (frontend: WorkerFrontend) => void;
  coarseNowMs = performance.now();
  readonly #budget: DescriptorBudget;
  readonly #sessionEnded: (session: UdpSession) => void;
  readonly #allRefused: (frontend: WorkerFrontend) => void;
  /** Each UDP frontend has one owner, so its affinity is kept here. */
  readonly #affinity = new AffinityTable();
  readonly #listeners = new Map<string, UdpListener>();
  /** Those that were idle longest come first, to a tick of the clock. */
  readonly #sessions = new Set<UdpSession>();
  #maxSessions: number;
  #draining = false;

  constructor({ datagrams, options, budget, random, dialFailed, sessionEnded, allRefused, noRoom }: UdpCarrierOptions) {
    this.datagrams = datagrams;
    this.options = options;
    this.#maxSessions = options.maxUdpSessions;
    this.random = random;
    this.sender = datagrams.newSender();
    this.dialFailed = dialFailed;
    this.noRoom = noRoom;
    this.#budget = budget;
    this.#sessionEnded = sessionEnded;
    this.#allRefused = allRefused;
  }

  sessions(): Iterable<UdpSession> {
    return this.#sessions;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  listen(frontend: WorkerFrontend, { handle, classifier }: { handle: UdpHandle; classifier: ClientClassifier }): void {
    const listener = new UdpListener(frontend, { handle, classifier, carrier: this });
    this.#listeners.set(frontend.spec.key, listener);
    listener.start();
  }

  /** Stops to receive; sessions go on to answer for as long as they last, by the socket that they hold. */
  unlisten(key: string): UdpListener | undefined {
    const listener = this.#listeners.get(key);
    this.#listeners.delete(key);
    listener?.stop();
    return listener;
  }

  /** Clients are told apart otherwise. */
  setClassifier(classifier: ClientClassifier): void {
    for (const listener of this.#listeners.values()) listener.classifier = classifier;
  }

  setMaxSessions(maxSessions: number): void {
    this.#maxSessions = maxSessions;
  }

  /** A frontend is otherwise: its sessions with endpoints to which it does not lead any more end. */
  endOrphans(key: string): void {
    this.#listeners.get(key)?.endOrphans();
  }

  /** Whether one more session fits, if need be in the place of the one that was idle longest. */
  makeRoom(): boolean {
    // More than one where a new plan has left less room.
    while (this.#sessions.size > 0 && this.#sessions.size >= this.#maxSessions) this.#evictOldest();
    if (this.#budget.take("udp", 1)) return true;
    this.#evictOldest();
    return this.#budget.take("udp", 1);
  }

  add(session: UdpSession): void {
    this.#sessions.add(session);
  }

  #evictOldest(): void {
    for (const session of this.#sessions) {
      session.end("evicted");
      return;
    }
  }

  /** Keeps the order of use. */
  touch(session: UdpSession): void {
    this.#sessions.delete(session);
    this.#sessions.add(session);
  }

  ended(session: UdpSession): void {
    this.#sessions.delete(session);
    this.#budget.give("udp", 1);
    session.listener.forget(session);
    this.#sessionEnded(session);
  }

  /** The endpoint that affinity gives this client, where it is usable. */
  stickyEndpoint(session: UdpSession, endpointsOfClient: readonly EndpointState[]): EndpointState | undefined {
    const { affinityKey: key, affinityTimeoutMs: timeoutMs } = session.frontend.spec;
    if (timeoutMs === 0) return undefined;
    const usable = endpointsOfClient.filter((endpoint) => endpoint.isUsable(this.coarseNowMs));
    const candidates = usable.length > 0 ? usable : endpointsOfClient;
    const proposal = candidates[Math.floor(this.random() * candidates.length)];
    if (proposal === undefined) return undefined;
    const keys = candidates.map(({ target }) => target.key);
    const request = { key, timeoutMs, endpoints: keys, proposal: proposal.target.key };
    const chosen = this.#affinity.choose(session.client.address, request, this.coarseNowMs);
    return candidates.find(({ target }) => target.key === chosen);
  }

  /** Where other clients may be served, or are owed silence, it goes on listening. */
  allRefused({ frontend }: UdpSession): void {
    if (frontend.commonHandling !== undefined && !this.#draining) this.#allRefused(frontend);
  }

  /** A session's endpoint did not answer; affinity follows. */
  moved(session: UdpSession, endpoint: EndpointState): void {
    const { affinityKey: key, affinityTimeoutMs: timeoutMs } = session.frontend.spec;
    if (timeoutMs === 0) return;
    const choice = { key, timeoutMs, endpoint: endpoint.target.key };
    this.#affinity.move(session.client.address, choice, this.coarseNowMs);
  }

  /** Sessions only wait for answers that are under way. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends what has been idle too long. */
  sweep(nowMs: number): void {
    const { udpIdleTimeoutMs, udpOneWayTimeoutMs } = this.options;
    const idleMs = this.#draining ? Math.min(DRAINED_AFTER_MS, udpIdleTimeoutMs) : udpIdleTimeoutMs;
    for (const session of this.#sessions) {
      const limitMs = session.answered ? idleMs : Math.min(udpOneWayTimeoutMs, idleMs);
      if (nowMs - session.activeAtMs >= limitMs) session.end("done");
    }
    this.#affinity.sweep(nowMs);
  }

  endAll(reason: EndReason): void {
    for (const session of this.#sessions) session.end(reason);
  }
}

/** One UDP frontend: its socket and its clients. */
class UdpListener implements UdpSessionListener {
  readonly frontend: WorkerFrontend;
  classifier: ClientClassifier;
  readonly handle: UdpHandle;
  readonly #carrier: UdpCarrier;
  /** By address, then by port: one text for both would be made, and hashed, for each datagram. */
  readonly #sessions = new Map<string, Map<number, UdpSession>>();
  #stopped = false;

  constructor(
    frontend: WorkerFrontend,
    { handle, classifier, carrier }: { handle: UdpHandle; classifier: ClientClassifier; carrier: UdpCarrier },
  ) {
    this.frontend = frontend;
    this.classifier = classifier;
    this.handle = handle;
    this.#carrier = carrier;
  }

  start(): void {
    this.handle.onmessage = (count, _handle, bytes, from) => {
      if (count < 0 || bytes === undefined || from === undefined) return;
      this.#received(bytes, from);
    };
    this.handle.recvStart();
  }

  #received(bytes: Uint8Array, { address = "", port = 0 }: AddressInfo): void {
    const { counters } = this.frontend;
    counters.datagramsFromClient++;
    counters.bytesFromClient += bytes.length;
    const session = this.#sessions.get(address)?.get(port) ?? this.#open({ address, port });
    if (session === undefined || session.isOver) {
      counters.datagramsDropped++;
      return;
    }
    session.fromClient(bytes);
  }

  #open(answerTo: UdpSession["answerTo"]): UdpSession | undefined {
    const client = clientOf(answerTo);
    if (client === undefined) return undefined;
    const endpoints = this.#endpointsFor(client);
    if (endpoints === undefined) return undefined;
    const carrier = this.#carrier;
    if (!carrier.makeRoom()) {
      this.frontend.counters.ended["max-connections"]++;
      carrier.noRoom(this.frontend);
      return undefined;
    }
    const session = new UdpSession(client, { listener: this, carrier, candidates: endpoints, answerTo });
    carrier.add(session);
    const ofAddress = this.#sessions.get(answerTo.address);
    if (ofAddress === undefined) this.#sessions.set(answerTo.address, new Map([[answerTo.port, session]]));
    else ofAddress.set(answerTo.port, session);
    session.open(carrier.stickyEndpoint(session, endpoints));
    return session;
  }

  #endpointsFor(client: SocketAddress): readonly EndpointState[] | undefined {
    const { frontend, classifier } = this;
    const { spec } = frontend;
    if (!classifier.isAllowed(client.address, { ranges: spec.sourceRanges, vip: spec.address })) return undefined;
    const handling = frontend.commonHandling ?? frontend.handlingFor(classifier.kindOf(client.address));
    return handling.kind === "forward" ? handling.endpoints : undefined;
  }

  forget({ answerTo: { address, port } }: UdpSession): void {
    const ofAddress = this.#sessions.get(address);
    ofAddress?.delete(port);
    if (ofAddress?.size === 0) this.#sessions.delete(address);
    this.#closeWhenIdle();
  }

  /** Receives no more; the socket is closed with the last session, which still answers by it. */
  stop(): void {
    this.#stopped = true;
    this.handle.recvStop();
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#stopped && this.#sessions.size === 0) this.handle.close();
  }

  endSessions(reason: EndReason): void {
    for (const ofAddress of this.#sessions.values()) for (const session of ofAddress.values()) session.end(reason);
  }

  endOrphans(): void {
    for (const ofAddress of this.#sessions.values()) {
      for (const session of ofAddress.values()) {
        if (session.endpoint !== undefined && !this.frontend.leadsTo(session.endpoint)) session.end("removed");
      }
    }
  }
}

function clientOf({ address, port }: { address: string; port: number }): SocketAddress | undefined {
  // A link-local client comes with its zone (`fe80::1%eth0`), which is not part of its address.
  const client = parseIpAddress(address.replace(/%.*/, ""));
  const clientPort = parsePort(port);
  return client === undefined || clientPort === undefined ? undefined : { address: client, port: clientPort };
}
