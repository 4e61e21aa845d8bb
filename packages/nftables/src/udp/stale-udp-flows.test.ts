import { parseSocketAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { isStale } from "./stale-udp-flows.ts";
import { NO_UDP, type UdpFrontends } from "./udp-frontends.ts";

const served = (endpoints: Record<string, readonly string[]>, orphans: readonly string[] = []): UdpFrontends => ({
  endpoints: new Map(Object.entries(endpoints).map(([frontend, list]) => [frontend, new Set(list)])),
  orphans: new Set(orphans),
});

const HOST = "192.168.1.6";
const [A, B] = ["10.5.75.2:3000", "10.5.75.3:3000"];
const DNS = "10.100.0.2:53";

test.for([
  ["an endpoint that stays", DNS, A, served({ [DNS]: [A, B] }), served({ [DNS]: [A] }), false],
  ["an endpoint that is gone", DNS, B, served({ [DNS]: [A, B] }), served({ [DNS]: [A] }), true],
  ["one that was gone before we looked", DNS, B, served({ [DNS]: [A] }), served({ [DNS]: [A] }), true],
  ["past a service that has come", DNS, DNS, NO_UDP, served({ [DNS]: [A] }), true],
  ["a service that still has no endpoint", DNS, DNS, NO_UDP, served({ [DNS]: [] }), false],
  ["the last endpoint of a service", DNS, A, served({ [DNS]: [A] }), served({ [DNS]: [] }), true],
  ["a service that is gone", DNS, A, served({ [DNS]: [A] }), NO_UDP, true],
  ["somebody else's translation of its address", DNS, "10.7.7.7:53", served({ [DNS]: [A] }), NO_UDP, false],
  ["an endpoint that a run which was killed left behind", DNS, A, served({}, [A]), NO_UDP, true],
  ["another port of the VIP", "10.100.0.2:54", "10.100.0.2:54", NO_UDP, served({ [DNS]: [A] }), false],
  ["a NodePort's endpoint that is gone", `${HOST}:30053`, B, served({}), served({ ":30053": [A] }), true],
  [
    "its number on an address that is not the host's",
    "10.9.9.9:30053",
    "10.9.9.9:30053",
    served({}),
    served({ ":30053": [A] }),
    false,
  ],
] as const)("a flow to %s", ([, destination, server, before, after, stale]) => {
  const [from, to, by] = ["10.9.0.1:40000", destination, server].map(socket);
  if (from === undefined || to === undefined || by === undefined) throw new TypeError("no socket");
  const flow = {
    ...{ protocol: "udp" as const, client: from.address, clientPort: from.port },
    ...{ destination: to.address, destinationPort: to.port, server: by.address, serverPort: by.port },
  };
  const isHostAddress = (address: string) => address === HOST;
  expect(isStale(flow, { before, after, isHostAddress })).toBe(stale);
});

function socket(text: string) {
  const parsed = parseSocketAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}
