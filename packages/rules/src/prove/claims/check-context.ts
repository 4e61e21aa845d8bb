import type { ClientKind, Endpoint, Handling } from "@svcproxy/topology";
import type { ProofContext } from "../compile/proof-context.ts";
import type { DeviationKind } from "../report/deviation.ts";
import type { ExamplePackets } from "../report/example-packet.ts";
import type { Findings } from "../report/findings.ts";
import type { ClaimNumber } from "../report/proof.ts";
import type { IndexSet } from "../space/index-set.ts";
import type { SymbolicState } from "../walk/symbolic-state.ts";
import type { IsOwnList } from "./own-lists.ts";
import type { IsOwn } from "./own-rules.ts";
import type { FrontendSpace } from "./plan-frontends.ts";
import type { PromisedSources } from "./promised-sources.ts";
import type { ReplyWays } from "./reply-way.ts";

/** What every check of one proof needs. */
export interface CheckContext {
  readonly proof: ProofContext;
  readonly findings: Findings;
  readonly examples: ExamplePackets;
  readonly replies: ReplyWays;
  readonly isOwn: IsOwn;
  readonly isOwnList: IsOwnList;
  readonly deviations: ReadonlySet<DeviationKind>;
  /** Our bit of the mark. */
  readonly markBit: number;
  /** The sources of each kind of client among packets that arrive. */
  readonly clients: ReadonlyMap<ClientKind, IndexSet>;
  /** Who may count on the plan: what foreign rules do to others is not looked at. */
  readonly promised: PromisedSources;
  /** The host's addresses as the plan has them. */
  readonly hostAddresses: IndexSet;
  /** Whether some rule stops an error message of some connection: then each frontend's are followed. */
  readonly errorsMayBeLost: boolean;
  countCases(count: number): void;
}

/** One frontend for one kind of client. */
export interface Promised {
  readonly frontend: FrontendSpace;
  readonly client: ClientKind;
  /** The plan's, with what the rules do otherwise by design. */
  readonly handling: Handling;
}

export interface Reached {
  readonly state: SymbolicState;
  readonly endpoint: Endpoint;
}

/** The claim that a broken promise of reaching an endpoint belongs to. */
export function reachClaim({ frontend, handling }: Promised): ClaimNumber {
  if (handling.kind !== "forward") return 3;
  const { service } = frontend.port;
  const isLocal =
    frontend.frontend.kind === "clusterIP"
      ? service.internalTrafficPolicy === "Local"
      : service.externalTrafficPolicy === "Local";
  return isLocal || frontend.allowed !== undefined ? 5 : 1;
}

export function endpointOf(
  context: ProofContext,
  state: SymbolicState,
  endpoints: readonly Endpoint[],
): Endpoint | undefined {
  const { destination, destinationPort } = state;
  if (typeof destination !== "number" || typeof destinationPort !== "number") return undefined;
  const address = context.space.addressAt(destination);
  return endpoints.find((endpoint) => endpoint.address === address && endpoint.port === destinationPort);
}

export function describeDestination({ space }: ProofContext, { destination, destinationPort }: SymbolicState): string {
  if (typeof destination !== "number") return "the address it dialled";
  const address = space.addressAt(destination);
  return typeof destinationPort === "number" ? `${address} port ${destinationPort}` : address;
}
