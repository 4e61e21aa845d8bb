import type { Family } from "@svcproxy/topology";
import type { RefusalAnswer } from "./refusal-answer.ts";

/** Why nobody knows whether a packet is passed on. */
export const TTL_OPEN = "whether the TTL that rules left it lasts for another hop is not known";

/** What is to go on with no hop left is refused before FORWARD is asked. @see linux ip_forward, ip6_forward */
export function hopsUsedUp(family: Family, ttl: number) {
  const answer: RefusalAnswer = { kind: "icmp", type: family === 4 ? 11 : 3, code: 0 };
  const because = `its ${family === 4 ? "TTL" : "hop limit"} is ${ttl}, so that it is not passed on`;
  return { kind: "refused", because, answer, fact: "hops-used-up" } as const;
}
