import type { Variant } from "@svcproxy/host";
import { MARKER_CHAIN, readStyle } from "../../kernel/own-chains.ts";
import type { RuleTables } from "../../kernel/rule-tables.ts";
import type { IptablesMachine } from "../iptables-machine.ts";

export interface TestMachineOptions {
  readonly tables: RuleTables;
  readonly variant: Variant;
}

/** A machine that has rules of one variant and nothing else that a data path asks for: no lock, no UDP flows, no sysctls. */
export function testMachine({ tables, variant }: TestMachineOptions): IptablesMachine {
  const tools = { variant, suffix: `-${variant}` } as const;
  return {
    async open({ signal }) {
      const saved = await Promise.all(([4, 6] as const).map((family) => tables.save(family, { signal })));
      const chains = saved.flatMap((rules) => rules.tables.flatMap((table) => table.chains));
      const survey = {
        ...{ tools, isDefault: true, hasKubeletHint: false },
        ruleCount: chains.reduce((sum, { rules }) => sum + rules.length, 0),
        style: readStyle(chains.map(({ name }) => name)),
        hasOurMarker: chains.some(({ name }) => name.startsWith(MARKER_CHAIN)),
      };
      return {
        choice: { tools, reason: "it is the only one on this machine", available: [survey] },
        tables: () => tables,
        readListeners: async () => [],
        readHolders: async () => new Map(),
        abilities: async () => ({ randomFully: true, dropInvalid: true }),
        deleteStaleUdpFlows: async () => ({ 4: 0, 6: 0 }),
        problemsWith: async () => [],
        surroundings: async () => undefined,
        lostGuard: async () => undefined,
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}
