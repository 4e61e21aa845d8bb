import { EnvironmentError, type SvcproxyErrorOptions } from "@svcproxy/topology";

/**
 * `unreachable`: no endpoint answered, or none has a leader; `refused`: who we are may not do it; `compacted`: history that is asked for is
 * gone; `future`: a revision that this etcd has not reached; `no-lease`: the lease lapsed; `failed`: anything else.
 */
export type EtcdFailure = "unreachable" | "refused" | "compacted" | "future" | "no-lease" | "failed";

/** What etcd, or the way to it, did not do. */
export class EtcdError extends EnvironmentError {
  readonly failure: EtcdFailure;
  /** Whether a write that failed may have been carried out all the same. */
  readonly mayHaveHappened: boolean;

  constructor(
    failure: EtcdFailure,
    message: string,
    { mayHaveHappened = false, ...options }: SvcproxyErrorOptions & { readonly mayHaveHappened?: boolean } = {},
  ) {
    super(CODES[failure], message, options);
    this.failure = failure;
    this.mayHaveHappened = mayHaveHappened;
  }
}

const CODES = {
  unreachable: "ETCD_UNREACHABLE",
  refused: "ETCD_REFUSED",
  compacted: "ETCD_FAILED",
  future: "ETCD_FAILED",
  "no-lease": "ETCD_FAILED",
  failed: "ETCD_FAILED",
} as const;

/** gRPC's numbers, as the gateway passes them on. */
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;
const PERMISSION_DENIED = 7;
const DEADLINE_EXCEEDED = 4;

/** What the gateway answered instead of a result. */
export interface GatewayFault {
  readonly code: number;
  readonly text: string;
}

/** Whether another endpoint may do better: this one has no leader, or is stopping. */
export function isTransient({ code }: GatewayFault): boolean {
  return code === UNAVAILABLE || code === DEADLINE_EXCEEDED;
}

/** Whether a token is needed, or the one that was sent is not good any more. */
export function asksForToken({ code, text }: GatewayFault): boolean {
  return code === UNAUTHENTICATED || /invalid auth token|user name is empty|auth store is old/.test(text);
}

/** @param doing what was being done, for instance `read /svcproxy/` */
export function errorOfFault(fault: GatewayFault, doing: string): EtcdError {
  const message = `Cannot ${doing} in etcd: ${fault.text}`;
  if (isTransient(fault)) return new EtcdError("unreachable", message, { mayHaveHappened: true });
  if (/CommonName of client/.test(fault.text)) {
    return new EtcdError("refused", message, {
      hint: "An etcd with users takes by its gateway no certificate that has a CommonName: give one without, and user and password",
    });
  }
  if (fault.code === PERMISSION_DENIED || asksForToken(fault) || /authentication failed/.test(fault.text)) {
    return new EtcdError("refused", message, {
      hint: "Give user and password in /etc/svcproxy/etcd.yaml, and grant that user what it needs: etcdctl role grant-permission",
    });
  }
  if (/has been compacted/.test(fault.text)) return new EtcdError("compacted", message);
  if (/is a future revision/.test(fault.text)) return new EtcdError("future", message);
  if (/lease not found/.test(fault.text)) return new EtcdError("no-lease", message);
  return new EtcdError("failed", message);
}
