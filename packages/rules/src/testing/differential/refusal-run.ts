import type { Family } from "@svcproxy/topology";
import type { Rule } from "../../rule-set.ts";
import { formatSave } from "../../rule-sets/format-restore.ts";
import { createTracer } from "../../trace/trace-packet.ts";
import { randomSettings, requestOf } from "./differential-loop.ts";
import { type Case, loadRules } from "./differential-run.ts";
import { describeTrace } from "./judge.ts";
import { type KernelWorld, sysctlsOf } from "./kernel-world.ts";
import { conntrackEnds } from "./random-matches.ts";
import { randomPacket } from "./random-packet.ts";
import { randomRuleSet } from "./random-rules.ts";
import { type RandomSource, randomSource } from "./random-source.ts";
import { withRule } from "./with-rule.ts";

export interface RefusalResult {
  /** Packets that a rule refused. */
  readonly refused: number;
  /** Of these, whose senders learned of it. */
  readonly told: number;
  readonly disagreements: readonly string[];
}

/** Sends packets that rules refuse, and compares whether their senders learn of it with what the engine says. */
export async function runRefusals(
  world: KernelWorld,
  options: { readonly seed: number; readonly ruleSets: number; readonly packetsPerRuleSet: number },
): Promise<RefusalResult> {
  const disagreements: string[] = [];
  let refused = 0;
  let told = 0;
  for (let index = 0; index < options.ruleSets; index++) {
    const random = randomSource(options.seed + index);
    const family: Family = random.chance(0.6) ? 4 : 6;
    const drawn = randomRuleSet(random, family);
    // Many refusals, so that some of them meet the rules of OUTPUT.
    const reject = { kind: "reject", with: family === 4 ? "icmp-port-unreachable" : "icmp6-port-unreachable" } as const;
    const refusing = {
      ...drawn,
      tables: drawn.tables.map((table) =>
        table.name !== "filter"
          ? table
          : {
              ...table,
              chains: table.chains.map((chain) =>
                chain.name === "FORWARD" || chain.name === "INPUT"
                  ? { ...chain, rules: [...chain.rules, { matches: [], target: reject }] }
                  : chain,
              ),
            },
      ),
    };
    // And some that are told apart by the connection that they belong to.
    const rules = random.chance(0.5)
      ? withRule(refusing, { table: "filter", chain: "OUTPUT" }, aboutConnection(random, family))
      : refusing;
    const settings = randomSettings(random);
    if ((await loadRules(world, { rules, settings, variant: "legacy" })) !== undefined) continue;
    const tracer = createTracer({ rules, hostState: { ...world.hostState, sysctls: sysctlsOf(settings) } });
    const cases = Array.from({ length: options.packetsPerRuleSet }, (_, at): Case => {
      return { rules, settings, sent: randomPacket(random, family, at + 1) };
    }).filter(({ sent }) => sent.side !== "host" && isAtHome(sent.packet.source));
    const seen = Map.groupBy(await world.send(cases.map(({ sent }) => sent)), ({ id }) => id);
    for (const one of cases) {
      const trace = tracer.trace(requestOf(one.sent));
      const [branch, another] = trace.branches;
      if (branch?.kind !== "decided" || another !== undefined || branch.outcome.verdict !== "refused") continue;
      if (branch.reply?.returns === undefined || !branch.outcome.because.startsWith("rule")) continue;
      refused++;
      const { side } = one.sent;
      const came = (seen.get(one.sent.packet.id) ?? []).some(
        ({ where, observation }) => where === side && observation.packet.kind === "error",
      );
      if (came) told++;
      if (came === branch.reply.returns) continue;
      const { source, destination, destinationPort, protocol } = one.sent.packet;
      disagreements.push(
        [
          `seed ${options.seed + index}: ${protocol} from ${side} ${source} to ${destination}:${destinationPort}`,
          `  ${JSON.stringify(settings)}`,
          `  the sender ${came ? "learned" : "did not learn"} of it; the engine says: ${branch.reply.because}`,
          `    ${describeTrace(trace)}`,
          formatSave(rules),
        ].join("\n"),
      );
    }
  }
  return { refused, told, disagreements };
}

function aboutConnection(random: RandomSource, family: Family): Rule {
  return { matches: [conntrackEnds(random, family)], target: { kind: random.chance(0.7) ? "drop" : "accept" } };
}

/** A borrowed source address has somebody else, or nobody, at home. */
function isAtHome(source: string): boolean {
  return ["10.1.0.2", "10.1.0.3", "192.168.7.7", "10.2.0.2", "fd01::2", "fd01::3", "fd07::7", "fd02::2"].includes(
    source,
  );
}
