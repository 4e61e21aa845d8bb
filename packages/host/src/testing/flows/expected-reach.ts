import { formatSocketAddress, parsePort } from "@svcproxy/topology";
import type { Flow } from "./flow.ts";
import { type FlowGround, flowAddress } from "./flow-places.ts";

/** `ip:port` of each endpoint, and whether it sees another address than the client's; or that there is none. */
export type Reached = Readonly<Record<string, boolean>> | "refused" | "dropped";

/** What a flow is to meet; `nobody's`: it belongs to no service; `kept off`: it does not, and nobody gets in. */
export function expectedReach({ expected, from }: Flow, ground: FlowGround): Reached | "nobody's" | "kept off" {
  if (typeof expected === "string") return expected;
  if ("leftTo" in expected) return "nobody's";
  const port = parsePort(expected.port);
  if (port === undefined) throw new TypeError(`not a port: ${expected.port}`);
  return Object.fromEntries(
    expected.endpoints.map((name) => [
      formatSocketAddress({ address: flowAddress(name, ground), port }),
      expected.masquerade === "hairpin" ? name === from : expected.masquerade,
    ]),
  );
}
