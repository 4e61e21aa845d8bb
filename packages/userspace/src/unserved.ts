import { type Shortfall, serviceName } from "@svcproxy/host";
import {
  formatSocketAddress,
  type IpAddress,
  type Problem,
  type ProblemCode,
  type ServicePortPlan,
  visible,
} from "@svcproxy/topology";
import { describeFailure } from "./frontend-listeners.ts";
import type { FrontendStatus, ListenState } from "./proxy-status.ts";

export interface UnservedInput {
  readonly frontends: readonly FrontendStatus[];
  /** Why VIPs could not be made local. */
  readonly reasons: ReadonlyMap<IpAddress, string>;
}

/** What is not served, a problem for each service and cause. */
export function unservedProblems({ frontends, reasons }: UnservedInput): readonly Problem[] {
  const failed = frontends.filter(({ state }) => state.kind === "failed");
  const byCause = Map.groupBy(failed, ({ service, state }) => JSON.stringify([service, codeOf(state)]));
  return [...byCause.values()].flatMap((group) => problemOf(group, reasons) ?? []);
}

function problemOf(frontends: readonly FrontendStatus[], reasons: ReadonlyMap<IpAddress, string>): Problem | undefined {
  const [first] = frontends;
  if (first === undefined) return undefined;
  const service = visible(first.service);
  const places = frontends.map(({ key, address, state }) => `${key} (${reasons.get(address) ?? reasonOf(state)})`);
  return {
    code: codeOf(first.state),
    severity: "error",
    subject: `service ${service}`,
    text: `Cannot serve ${service} at ${places.join(", ")}`,
  };
}

function reasonOf(state: ListenState): string {
  if (state.kind === "failed") return describeFailure(state);
  return state.kind === "unsupported" ? state.reason : state.kind;
}

function codeOf(state: ListenState): ProblemCode {
  switch (state.kind === "failed" ? state.code : "") {
    case "EADDRINUSE":
      return "PORT_IN_USE";
    case "EADDRNOTAVAIL":
      return "VIP_NOT_LOCAL";
    case "EACCES":
      return "PORT_NOT_PERMITTED";
    case "EMFILE":
    case "ENFILE":
      return "OUT_OF_DESCRIPTORS";
    default:
      return "CANNOT_LISTEN";
  }
}

/** Looks up how ports of a plan fall short, for `servicePortStatuses`. */
export function shortfalls({ frontends, reasons }: UnservedInput): (port: ServicePortPlan) => Shortfall | undefined {
  const failed = new Map(
    frontends.filter(({ state }) => state.kind === "failed").map((status) => [status.key, status]),
  );
  return (planned) => {
    const { protocol } = planned.port;
    const name = visible(serviceName(planned));
    if (protocol === "sctp") {
      const text = `SCTP is not served, because Node has no SCTP sockets: ${name}`;
      const problem: Problem = { code: "SCTP_UNSERVED", severity: "error", subject: `service ${name}`, text };
      return { state: "refused", problem };
    }
    if (failed.size === 0) return undefined;
    const ofPort = planned.frontends.flatMap(({ addresses, port }) =>
      addresses.flatMap((address) => failed.get(`${protocol} ${formatSocketAddress({ address, port })}`) ?? []),
    );
    const problem = problemOf(ofPort, reasons);
    return problem === undefined ? undefined : { state: "failed", problem };
  };
}
