import { type Trace, traceToJson, VERDICTS, type Verdict } from "@svcproxy/rules";
import { formatSocketAddress, inputError, parseIpAddress, parseSocketAddress } from "@svcproxy/topology";

/** What a user says that a packet's trace comes to; what is left out may be anything. */
export interface Expectation {
  readonly verdict?: Verdict;
  /** All endpoints that may get the packet, `ip:port` (`ip` where the protocol has no ports), in any order. */
  readonly endpoints?: readonly string[];
  readonly masqueraded?: boolean;
}

/** @throws InputError BAD_EXPECTATION */
export function readExpectation(value: unknown): Expectation {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("`expect` is not an object");
  const words: Readonly<Record<string, unknown>> = { ...value };
  const unknown = Object.keys(words).find((key) => !["verdict", "endpoints", "masqueraded"].includes(key));
  if (unknown !== undefined) throw bad(`\`expect\` has no key ${JSON.stringify(unknown)}`);
  const { verdict, endpoints, masqueraded } = words;
  const known = VERDICTS.find((one) => one === verdict);
  if (verdict !== undefined && known === undefined) throw bad(`${JSON.stringify(verdict)} is not a verdict`);
  if (masqueraded !== undefined && typeof masqueraded !== "boolean") throw bad("`masqueraded` is true or false");
  return {
    ...(known === undefined ? {} : { verdict: known }),
    ...(endpoints === undefined ? {} : { endpoints: readEndpoints(endpoints) }),
    ...(masqueraded === undefined ? {} : { masqueraded }),
  };
}

function readEndpoints(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw bad("`endpoints` is a list of ip:port");
  return value.map((entry: unknown) => {
    const text = typeof entry === "string" ? entry : "";
    const socket = parseSocketAddress(text);
    const endpoint = socket === undefined ? parseIpAddress(text) : formatSocketAddress(socket);
    if (endpoint !== undefined) return endpoint;
    throw bad(`${JSON.stringify(entry)} is not ip:port`);
  });
}

function bad(what: string): Error {
  return inputError("BAD_EXPECTATION", `Cannot read what a packet is expected to come to: ${what}`, {
    hint: `expect: { verdict: ${VERDICTS.join("|")}, endpoints: ["ip:port"], masqueraded: true|false }`,
  });
}

interface ComparedOutcome {
  readonly verdict: Verdict;
  readonly endpoint: string | null;
  readonly masqueraded: boolean | null;
}

/** What differs between a trace and what was expected of it; a line each, none where all is as expected. */
export function compareExpectation(trace: Trace, { verdict, endpoints, masqueraded }: Expectation): readonly string[] {
  const outcomes = traceToJson(trace).branches.flatMap((branch): readonly ComparedOutcome[] =>
    // An undecided branch is what it may come to, unless that is what was expected.
    branch.verdict === "undecided" && verdict !== "undecided" && (branch.possible ?? []).length > 0
      ? (branch.possible ?? [])
      : [branch],
  );
  const found = {
    verdicts: [...new Set(outcomes.map((outcome) => outcome.verdict))].sort(),
    endpoints: [...new Set(outcomes.flatMap(({ endpoint }) => endpoint ?? []))].sort(),
    masqueraded: [...new Set(outcomes.flatMap((outcome) => outcome.masqueraded ?? []))],
  };
  const wanted = endpoints === undefined ? undefined : [...new Set(endpoints)].sort();
  return [
    ...(verdict === undefined || found.verdicts.every((one) => one === verdict)
      ? []
      : [`verdict is ${found.verdicts.join(" or ")}, not ${verdict}`]),
    ...(wanted === undefined || wanted.join(" ") === found.endpoints.join(" ")
      ? []
      : [`endpoints are ${listed(found.endpoints)}, not ${listed(wanted)}`]),
    ...(masqueraded === undefined || found.masqueraded.every((one) => one === masqueraded)
      ? []
      : [`masqueraded is ${found.masqueraded.join(" or ")}, not ${masqueraded}`]),
  ];
}

function listed(endpoints: readonly string[]): string {
  return endpoints.length === 0 ? "none" : endpoints.join(", ");
}
