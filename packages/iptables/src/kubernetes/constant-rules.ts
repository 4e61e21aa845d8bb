import type { Chain, Rule } from "@svcproxy/rules";
import { FORWARD, MARK_MASQ, POSTROUTING } from "../rule-parts/chain-names.ts";
import { comment, markMatch } from "../rule-parts/matches.ts";
import { ACCEPT, DROP, masquerade, RETURN } from "../rule-parts/targets.ts";

/** Packets that were marked get the mark taken off again (so that one that comes by twice is rewritten once) and a new source. */
export function postrouting({ mark, randomFully }: { mark: number; randomFully: boolean }): Chain {
  return {
    name: POSTROUTING,
    rules: [
      { matches: [{ kind: "mark", negated: true, value: mark, mask: mark }], target: RETURN },
      { matches: [], target: { kind: "mark", value: mark, mask: 0 } },
      {
        matches: [comment("kubernetes service traffic requiring SNAT")],
        target: masquerade({ randomFully }),
      },
    ],
  };
}

/** Sets one bit and leaves other programs' bits alone. */
export function markMasq(mark: number): Chain {
  return { name: MARK_MASQ, rules: [{ matches: [], target: { kind: "mark", value: mark, mask: mark } }] };
}

export function forward({ mark, dropInvalid }: { mark: number; dropInvalid: boolean }): Chain {
  const invalid: Rule = {
    matches: [{ kind: "conntrack", states: { negated: false, states: ["INVALID"] } }],
    target: DROP,
  };
  return {
    name: FORWARD,
    rules: [
      ...(dropInvalid ? [invalid] : []),
      { matches: [comment("kubernetes forwarding rules"), markMatch({ value: mark, mask: mark })], target: ACCEPT },
      {
        matches: [
          comment("kubernetes forwarding conntrack rule"),
          { kind: "conntrack", states: { negated: false, states: ["RELATED", "ESTABLISHED"] } },
        ],
        target: ACCEPT,
      },
    ],
  };
}
