import { expect, test } from "vitest";
import type { HostRules } from "../../hooks/host-rules.ts";
import { formatSave } from "../../rule-sets/format-restore.ts";
import { compareEngines } from "../../testing/compare-engines.ts";
import { formatNftSource } from "../../testing/differential/nft/nft-source.ts";
import { randomNft } from "../../testing/differential/nft/random-nft.ts";
import { randomRuleSet } from "../../testing/differential/random-rules.ts";
import { randomSource } from "../../testing/differential/random-source.ts";
import { worldHostState } from "../../testing/prover-agrees.ts";
import { parseNft } from "../parse-nft.ts";

const RULE_SETS = 60;
const PACKETS = 40;

/** The tracer is tested against the kernel; here the sets of the prover are tested against the tracer. */
test.for([4, 6] as const)(
  "IPv%i: a packet fares in the prover's sets as the tracer says",
  { timeout: 300_000 },
  (family) => {
    let compared = 0;
    for (let seed = 1; seed <= RULE_SETS; seed++) {
      const random = randomSource(seed * 104_729 + family);
      const listing = formatNftSource(randomNft(random, family)).replace(/^(add|delete) table.*\n/gm, "");
      const beside = random.chance(0.3) ? [{ variant: "legacy" as const, rules: randomRuleSet(random, family) }] : [];
      const rules: HostRules = { family, iptables: beside, nft: parseNft(listing), unread: [] };
      const found = compareEngines({ rules, hostState: worldHostState(family) }, { random, packets: PACKETS });
      const saves = beside.map((backend) => formatSave(backend.rules)).join("\n");
      const told = found.difference === undefined ? "" : `seed ${seed}\n${found.difference}\n${listing}\n${saves}`;
      expect(told).toBe("");
      compared += found.compared;
    }
    expect(compared).toBeGreaterThan((RULE_SETS * PACKETS) / 3);
  },
);
