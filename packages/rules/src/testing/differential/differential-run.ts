import type { RuleSet } from "../../rule-set.ts";
import { formatSave } from "../../rule-sets/format-restore.ts";
import { createTracer, type Tracer } from "../../trace/trace-packet.ts";
import {
  type DifferentialOptions,
  type DifferentialResult,
  type Loaded,
  randomSettings,
  runLoop,
} from "./differential-loop.ts";
import { type KernelWorld, type SentPacket, sysctlsOf } from "./kernel-world.ts";
import { randomRuleSet } from "./random-rules.ts";
import { shrinkRules } from "./shrink-rules.ts";
import type { WorldSettings } from "./world-plan.ts";

interface LoadedRules extends Loaded {
  readonly rules: RuleSet;
}

/** Rules, the host's settings, and a packet: what the kernel and the engine are both asked about. */
export interface Case extends LoadedRules {
  readonly sent: SentPacket;
}

/** Which iptables loads the rules. */
export type Variant = "legacy" | "nft";

/** Asks the kernel and the engine about random rules of iptables. */
export function runDifferential(
  world: KernelWorld,
  { variant, ...options }: DifferentialOptions & { readonly variant: Variant },
): Promise<DifferentialResult> {
  return runLoop<LoadedRules>(
    world,
    {
      draw: (random, family) => ({ rules: randomRuleSet(random, family), settings: randomSettings(random) }),
      load: async (loaded) =>
        variant === "nft" && hangsOnVariant(loaded.rules)
          ? "iptables-nft asks the tables of INPUT in another order"
          : loadRules(world, { ...loaded, variant }),
      tracerOf: async (loaded) => tracerOf(world, loaded),
      shrink: shrinkRules,
      format: ({ rules }) => formatSave(rules),
    },
    options,
  );
}

/** At INPUT iptables-nft has nat (100) before security (150), which the kernel has at 50; the engine knows the kernel's order. */
function hangsOnVariant({ tables }: RuleSet): boolean {
  return ["nat", "security"].every((name) =>
    tables.some(
      (table) => table.name === name && table.chains.some((chain) => chain.name === "INPUT" && chain.rules.length > 0),
    ),
  );
}

export function loadRules(
  world: KernelWorld,
  { rules, settings, variant }: { rules: RuleSet; settings: WorldSettings; variant: Variant },
): Promise<string | undefined> {
  const tool = `${rules.family === 4 ? "iptables" : "ip6tables"}-${variant}-restore`;
  return world.load({ tool, rules: formatSave(rules), settings });
}

/** The engine, with rules of iptables on the world's host. */
export function tracerOf({ hostState }: KernelWorld, { rules, settings }: LoadedRules): Tracer {
  // The world's state was read while it forwarded: IPv6 has an anycast address in each subnet only then.
  const routes = hostState.routes.filter(({ type }) => settings.forwarding || type !== "anycast");
  return createTracer({ rules, hostState: { ...hostState, routes, sysctls: sysctlsOf(settings) } });
}
