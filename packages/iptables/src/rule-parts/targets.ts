import type { Target } from "@svcproxy/rules";
import type { Family, SocketAddress } from "@svcproxy/topology";

/** `-j CHAIN` */
export function jump(chain: string): Target {
  return { kind: "jump", chain };
}

/** `-j DNAT --to-destination ADDRESS:PORT` */
export function dnat({ address, port }: SocketAddress): Target {
  return {
    kind: "dnat",
    to: {
      addresses: { from: address, to: address },
      ports: { from: port, to: port },
      random: false,
      randomFully: false,
      persistent: false,
    },
  };
}

/** `-j REJECT` as iptables means it where nothing else is said: the client learns at once that the port is closed. */
export function reject(family: Family): Target {
  return { kind: "reject", with: family === 4 ? "icmp-port-unreachable" : "icmp6-port-unreachable" };
}

/** `-j MASQUERADE`, with `--random-fully` where asked */
export function masquerade({ randomFully }: { randomFully: boolean }): Target {
  return { kind: "masquerade", random: false, randomFully };
}

export const DROP: Target = { kind: "drop" };
export const ACCEPT: Target = { kind: "accept" };
export const RETURN: Target = { kind: "return" };
/** A rule without `-j` only counts. */
export const NO_TARGET: Target = { kind: "none" };
