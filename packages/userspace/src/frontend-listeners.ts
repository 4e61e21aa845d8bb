import { findPortHolder, type PortHolder, thisMachine } from "@svcproxy/host";
import type { DataPlane, ListenerHandle } from "./plane/byte-stream.ts";
import type { FrontendSpec } from "./policy/frontend-spec.ts";
import type { ProxyOptions } from "./proxy-options.ts";
import type { ListenState } from "./proxy-status.ts";
import type { HandedListener, InheritedListeners } from "./service-proxy.ts";
import type { WorkerGroup } from "./workers/worker-group.ts";

/** Ports whose holder is looked up in one go: each look goes through all processes' descriptors. */
const MAX_HOLDER_LOOKS = 16;
/** Listeners opened together: workers answer for each, and the event loop gets its turn between. */
const OPEN_AT_ONCE = 256;

type Failure = Extract<ListenState, { kind: "failed" }>;

interface ListenerSurroundings {
  readonly plane: DataPlane;
  readonly options: ProxyOptions;
  readonly group: WorkerGroup;
  /** What a predecessor handed over, for the first frontends that are opened. */
  readonly inherited: InheritedListeners;
}

/** The sockets of frontends: opens and closes them, and knows why one could not be opened. */
export class FrontendListeners {
  readonly #surroundings: ListenerSurroundings;
  readonly #listeners = new Map<string, HandedListener>();
  readonly #failures = new Map<string, Failure>();

  constructor(surroundings: ListenerSurroundings) {
    this.#surroundings = surroundings;
  }

  /** Opens those that are not open. Call when the workers know them. @returns how many were opened */
  async open(specs: readonly FrontendSpec[]): Promise<number> {
    const opening = specs.filter(({ key }) => !this.#listeners.has(key));
    let holderLooks = 0;
    const listen = async (spec: FrontendSpec) => {
      const failed = await this.#listen(spec);
      if (failed === undefined) {
        this.#failures.delete(spec.key);
        return;
      }
      const isTaken = failed === "EADDRINUSE" && holderLooks < MAX_HOLDER_LOOKS;
      if (isTaken) holderLooks++;
      const holder = isTaken ? await findPortHolder(thisMachine, spec) : undefined;
      this.#failures.set(spec.key, failureOf(spec, { code: failed, holder }));
    };
    for (let first = 0; first < opening.length; first += OPEN_AT_ONCE) {
      await Promise.all(opening.slice(first, first + OPEN_AT_ONCE).map(listen));
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#closeUnclaimed();
    return opening.filter(({ key }) => this.#listeners.has(key)).length;
  }

  /** @returns the system's error code where it could not be opened */
  async #listen(spec: FrontendSpec): Promise<string | undefined> {
    try {
      const listener = { key: spec.key, protocol: spec.protocol, handle: this.#handleFor(spec) };
      await this.#surroundings.group.listen(listener);
      this.#listeners.set(spec.key, listener);
      return undefined;
    } catch (error) {
      const code = errorCode(error);
      if (code === undefined) throw error;
      return code;
    }
  }

  #handleFor(spec: FrontendSpec): ListenerHandle {
    const { plane, options, inherited } = this.#surroundings;
    const handed = inherited.get(spec.key);
    if (handed !== undefined) {
      inherited.delete(spec.key);
      return handed.handle;
    }
    if (spec.protocol === "tcp") return plane.bind(spec.address, spec.port).handle;
    if (plane.datagrams === undefined) throw new UnsupportedError();
    const { address, port } = spec;
    return plane.datagrams.bind({ address, port, bufferBytes: options.udpBufferBytes });
  }

  #closeUnclaimed(): void {
    const { inherited } = this.#surroundings;
    for (const { handle } of inherited.values()) handle.close();
    inherited.clear();
  }

  /** @returns how many were open */
  close(keys: Iterable<string>): number {
    let closed = 0;
    for (const key of keys) {
      this.#failures.delete(key);
      if (!this.#listeners.delete(key)) continue;
      this.#surroundings.group.unlisten(key);
      closed++;
    }
    return closed;
  }

  /** Whether and why not it listens; one that was never opened refuses. */
  stateOf(key: string): ListenState {
    if (this.#listeners.has(key)) return { kind: "listening" };
    return this.#failures.get(key) ?? { kind: "refusing" };
  }

  all(): readonly HandedListener[] {
    return [...this.#listeners.values()];
  }

  /** The sockets themselves are the workers' to close. */
  end(): void {
    this.#closeUnclaimed();
  }
}

class UnsupportedError extends Error {
  readonly code = "UNSUPPORTED";
}

function failureOf(
  { address, port }: FrontendSpec,
  { code, holder }: { code: string; holder: PortHolder | undefined },
): Failure {
  return {
    kind: "failed",
    code,
    reason: reasonFor({ address, port }, code),
    ...(holder === undefined ? {} : { holder }),
  };
}

function reasonFor({ address, port }: { address: string; port: number }, code: string): string {
  switch (code) {
    case "EADDRINUSE":
      return `port ${port} of ${address} is in use`;
    case "EADDRNOTAVAIL":
      return `${address} is not an address of this host`;
    case "EACCES":
      return `port ${port} needs CAP_NET_BIND_SERVICE, or sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${port}`;
    case "UNSUPPORTED":
      return "this Node lacks the native handles that datagrams need";
    case "EMFILE":
    case "ENFILE":
      return "no file descriptor is left";
    default:
      return `the system refuses with ${code}`;
  }
}

/** Why a frontend is not served and who holds its port, for people; no full stop. */
export function describeFailure({ reason, holder }: Failure): string {
  return holder === undefined ? reason : `${reason}, held by pid ${holder.pid} (${holder.command})`;
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
