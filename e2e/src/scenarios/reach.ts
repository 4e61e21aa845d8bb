import { HOSTS } from "../hosts.ts";
import type { AskOutcome } from "../stage/ask.ts";
import type { Stage } from "../stage/stage.ts";

/** A row of a scenario: who dials what, who may answer, and whom the endpoint sees. */
export interface Reach {
  /** Places that dial: pods, hosts, or the client outside. */
  readonly from: readonly string[];
  /** `address:port`. */
  readonly to: string;
  readonly protocol?: "udp";
  /** Pods that answer, each of them sooner or later and nobody else. */
  readonly answeredBy: readonly string[];
  /**
   * Which source address they see: the client's own; that of the host which serves the client, as far as it faces the
   * endpoint (`10.5.75.1` towards its own pods, `10.5.75.0` through the VXLAN device); or the client's own except where
   * it is the endpoint itself.
   */
  readonly seen: "client" | "host" | "client, unless it is itself";
  /** The host whose NodePort is dialled; default: the one that the client is or runs on. */
  readonly servedBy?: string;
  /** Where only one overlay lets such a packet through. */
  readonly onlyOn?: "host-gw";
}

/**
 * Enough connections that each of two endpoints answers one: a right build misses one of them in 2 of 2^48 runs.
 */
const TIMES = 48;

/** Plays the rows. @throws Error with every row that did not come out as said */
export async function playReaches(stage: Stage, reaches: readonly Reach[]): Promise<void> {
  const rows = reaches.filter(({ onlyOn }) => onlyOn === undefined || onlyOn === stage.overlay);
  const faults = await Promise.all(
    rows.flatMap((reach) => reach.from.map((client) => playReach(stage, { reach, client }))),
  );
  const found = faults.flat();
  if (found.length > 0) throw new Error(found.join("\n"));
}

async function playReach(
  stage: Stage,
  { reach, client }: { readonly reach: Reach; readonly client: string },
): Promise<readonly string[]> {
  const times = reach.answeredBy.length > 1 ? TIMES : 8;
  const outcomes = await stage.ask(client, reach.to, { times, protocol: reach.protocol ?? "tcp" });
  const row = `${client} to ${reach.to}${reach.protocol === undefined ? "" : ` (${reach.protocol})`}`;
  const missing = reach.answeredBy.filter((pod) => !outcomes.some((outcome) => isBy(outcome, pod)));
  const wrong = outcomes.flatMap((outcome) => faultOf(stage, { reach, client, outcome }));
  return [
    ...missing.map((pod) => `${row}: ${pod} did not answer any of ${outcomes.length} connections`),
    ...[...new Set(wrong)].map((fault) => `${row}: ${fault}`),
  ];
}

function isBy(outcome: AskOutcome, pod: string): boolean {
  return outcome.kind === "answered" && outcome.by === pod;
}

function faultOf(
  stage: Stage,
  { reach, client, outcome }: { readonly reach: Reach; readonly client: string; readonly outcome: AskOutcome },
): readonly string[] {
  if (outcome.kind !== "answered") return [outcome.kind === "failed" ? outcome.code : outcome.kind];
  if (!reach.answeredBy.includes(outcome.by)) return [`${outcome.by} answered, who is no endpoint of it`];
  const expected = sourceSeen(stage, { reach, client, endpoint: outcome.by });
  return outcome.seen === expected ? [] : [`${outcome.by} saw ${outcome.seen} instead of ${expected}`];
}

function sourceSeen(
  stage: Stage,
  { reach, client, endpoint }: { readonly reach: Reach; readonly client: string; readonly endpoint: string },
): string {
  const family = reach.to.startsWith("[") ? 6 : 4;
  const isRewritten =
    reach.seen === "host" ||
    (reach.seen === "client, unless it is itself" && client === endpoint) ||
    !stage.dataPath.showsClient;
  if (isRewritten) return stage.addressTowards(endpoint, { host: reach.servedBy ?? hostOf(client), family });
  const { addresses = [] } = stage.lab.process.places.find(({ name }) => name === client) ?? {};
  return addresses.find((address) => address.includes(":") === (family === 6)) ?? "";
}

/** The host that a place is or runs on. */
function hostOf(place: string): string {
  return HOSTS.hosts.find(({ pods }) => pods.some(({ name }) => name === place))?.name ?? place;
}
