import type { Proof, ProofPacket } from "../../prove/report/proof.ts";
import { createKernelWorld, type KernelWorld } from "../differential/kernel-world.ts";
import { randomSource } from "../differential/random-source.ts";
import { clientsStay } from "./clients-stay.ts";
import { type Fates, fatesOf, hasChanged, type KernelProbe, probeOf } from "./kernel-fates.ts";
import type { MutantSubject, Variant } from "./mutant-subject.ts";
import { planProbes, stickyProbes } from "./plan-probes.ts";

export interface MutantCounts {
  /** Mutants of which the prover says that they keep every promise. */
  held: number;
  broken: number;
  /** Of the broken: those that no probe showed, but the proof's own packets did. */
  byCounterExample: number;
  /** Of the broken: those whose packets a raw socket cannot send, such as answers in older connections. */
  unsendable: number;
  /** Neither held nor broken. */
  undecided: number;
}

export interface MutantResult {
  readonly counts: MutantCounts;
  /** That traffic fares otherwise, and the prover says held. */
  readonly missed: readonly string[];
  /** That nothing fares otherwise, and the prover says broken. */
  readonly criedWolf: readonly string[];
}

/** Without the differential test's odd things: routing by mark, an address that the document's last rule leaves out, a port without hairpin mode. */
const PLAIN_HOST =
  "ip rule del fwmark 0x100/0x100 table 100; ip addr del 192.168.7.60/24 dev eth0; ip link set vpod2 type bridge_slave hairpin on";

/** A host whose connections last until they are forgotten: answers come in them. */
export async function createMutantWorld(): Promise<KernelWorld> {
  const world = await createKernelWorld({ change: PLAIN_HOST });
  const timeouts = ["udp_timeout", "udp_timeout_stream", "tcp_timeout_syn_sent"];
  await world.run("sysctl", ["-qw", ...timeouts.map((name) => `net.netfilter.nf_conntrack_${name}=60`)]);
  return world;
}

/** Enough to tell a share from its half. */
const REPEATS_OF_COUNTER_EXAMPLE = 1200;

/** So often a client that is forgotten dials, each time so many connections: the first is drawn, the others show whether it is remembered. */
const DRAWS = 400;
const CONNECTIONS_A_DRAW = 3;

/** Of what decides how long a client is remembered. */
const ABOUT_TIME = /recent|timeout|affinity|slot|forget|update|recall|learn/;

/** Loads mutants of rules that are held one after the other, and compares what traffic says with what the prover says. */
export async function judgeMutants(
  world: KernelWorld,
  subject: MutantSubject,
  options: {
    readonly seed: number;
    readonly mutants: number;
    readonly onMutant?: () => void;
    /** Told at once of what is missed, and of what cried wolf. */
    readonly onFault?: (text: string) => void;
  },
): Promise<MutantResult> {
  const random = randomSource(options.seed);
  const counts: MutantCounts = { held: 0, broken: 0, byCounterExample: 0, unsendable: 0, undecided: 0 };
  const missed: string[] = [];
  const criedWolf: string[] = [];
  const traffic = new Traffic(world, subject);
  const note = (list: string[], text: string) => {
    list.push(text);
    options.onFault?.(text);
  };
  while (counts.held + counts.broken + counts.undecided < options.mutants) {
    const mutant = subject.mutate(random);
    if (mutant === undefined || !(await mutant.variant.load(world))) continue;
    const told = `${subject.name}: ${mutant.told}`;
    const proof = await mutant.variant.prove(world);
    const broken = proof.claims.flatMap((claim) => claim.broken.map(({ packet }) => packet));
    if (proof.holds) counts.held++;
    else if (broken.length > 0) counts.broken++;
    else counts.undecided++;
    options.onMutant?.();
    if (!proof.holds && broken.length === 0) continue;
    const change = await traffic.change(mutant.variant, { waits: ABOUT_TIME.test(told) });
    if (proof.holds) {
      if (change !== undefined) note(missed, `${told}: held, but ${change}`);
      continue;
    }
    // The probes saw the change by themselves; else the proof's own packets must show it.
    if (change !== undefined) continue;
    const shown = broken.flatMap((packet) => probeOf(packet, REPEATS_OF_COUNTER_EXAMPLE) ?? []);
    if (shown.length > 0 && (await traffic.changeOf(mutant.variant, shown)) !== undefined) counts.byCounterExample++;
    else if (shown.length < broken.length) counts.unsendable++;
    else note(criedWolf, `${told}: broken, but these fare as before:\n${describeBroken(proof)}`);
  }
  return { counts, missed, criedWolf };
}

function describeBroken({ claims }: Proof): string {
  return claims
    .flatMap(({ number, broken }) =>
      broken.map(({ packet, message }) => `  claim ${number}: ${describePacket(packet)}: ${message}`),
    )
    .slice(0, 4)
    .join("\n");
}

function describePacket(packet: ProofPacket): string {
  return JSON.stringify(packet);
}

/** What the original does with the subject's probes, to compare mutants with. */
class Traffic {
  readonly #world: KernelWorld;
  readonly #original: Variant;
  readonly #probes: readonly KernelProbe[];
  readonly #sticky: ReturnType<typeof stickyProbes>;
  readonly #tellsOurBit: boolean;
  #before: { readonly fates: readonly Fates[]; readonly stay: readonly string[] } | undefined;

  constructor(world: KernelWorld, { plan, original, deviations }: MutantSubject) {
    this.#world = world;
    this.#original = original;
    this.#probes = planProbes(plan);
    this.#sticky = stickyProbes(plan);
    this.#tellsOurBit = deviations.every(({ kind }) => kind !== "mark-outlives-packet");
  }

  /** @returns what changed, in words; seen twice, for a busy machine may lose a packet */
  async change(variant: Variant, { waits }: { readonly waits: boolean }): Promise<string | undefined> {
    this.#before ??= { fates: await this.#fates(this.#original), stay: await this.#stay(this.#original, true) };
    const changed = this.#differing(this.#before.fates, await this.#fates(variant));
    if (changed !== undefined) {
      const again = this.#differing(await this.#fates(this.#original), await this.#fates(variant));
      if (again !== undefined) return again;
    }
    if (stayDiffers(this.#before.stay, await this.#stay(variant, waits)) === undefined) return undefined;
    return stayDiffers(await this.#stay(this.#original, waits), await this.#stay(variant, waits));
  }

  /** Sends the packets with the original, and with a variant. */
  async changeOf(variant: Variant, probes: readonly KernelProbe[]): Promise<string | undefined> {
    const isSticky = ({ sent: { packet } }: KernelProbe) =>
      this.#sticky.some(({ to, port }) => to === packet.destination && port === packet.destinationPort);
    const plain = probes.filter((probe) => !isSticky(probe));
    const before = await this.#fates(this.#original, plain);
    const changed = this.#differing(before, await this.#fates(variant, plain), plain);
    if (changed !== undefined) return changed;
    for (const probe of probes.filter(isSticky)) {
      const drawn = await this.#draws(this.#original, probe);
      const differs = this.#differing([drawn], [await this.#draws(variant, probe)], [probe]);
      if (differs !== undefined) return differs;
    }
    return undefined;
  }

  /** What becomes of the connections of one draw, each as one fate. */
  async #draws(variant: Variant, probe: KernelProbe): Promise<Fates> {
    await variant.load(this.#world);
    const all = new Map<string, number>();
    for (let draw = 0; draw < DRAWS; draw++) {
      await variant.forget(this.#world);
      const dialled = { ...probe, repeats: CONNECTIONS_A_DRAW };
      const [fates] = await fatesOf(this.#world, [dialled], { tellsOurBit: this.#tellsOurBit });
      const fate = JSON.stringify([...(fates ?? [])].sort());
      all.set(fate, (all.get(fate) ?? 0) + 1);
    }
    return all;
  }

  async #fates(variant: Variant, probes = this.#probes): Promise<readonly Fates[]> {
    await variant.load(this.#world);
    return fatesOf(this.#world, probes, { tellsOurBit: this.#tellsOurBit });
  }

  async #stay(variant: Variant, waits: boolean): Promise<readonly string[]> {
    if (this.#sticky.length === 0) return [];
    await variant.load(this.#world);
    return clientsStay(this.#world, this.#sticky, { waits });
  }

  #differing(before: readonly Fates[], after: readonly Fates[], probes = this.#probes): string | undefined {
    for (const [place, { sent }] of probes.entries()) {
      if (!hasChanged(before[place], after[place])) continue;
      const { packet, mark, side } = sent;
      const ends = (fates: Fates | undefined) => JSON.stringify([...(fates ?? [])]);
      const what = `${packet.protocol} from ${side} ${packet.source} to ${packet.destination}:${packet.destinationPort}`;
      return `${what} mark ${mark} fares otherwise: ${ends(before[place])} before, ${ends(after[place])} now`;
    }
    return undefined;
  }
}

/** One that did not wait says less. */
function stayDiffers(before: readonly string[], after: readonly string[]): string | undefined {
  const place = before.findIndex(
    (word, at) => !word.startsWith(after[at] ?? "") && !(after[at] ?? "").startsWith(word),
  );
  return place < 0 ? undefined : `clients of sticky frontend ${place}: ${before[place]} before, ${after[place]} now`;
}
