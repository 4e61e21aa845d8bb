import type { Family } from "@svcproxy/topology";
import type { Deviation, DeviationKind } from "./deviation.ts";
import type { Claim, ClaimNumber, Finding, ShownDeviation } from "./proof.ts";
import { CLAIM_NUMBERS, titleOf } from "./proof.ts";

/** So many packets are shown for each claim. */
const SHOWN = 5;

interface Collected {
  readonly broken: Finding[];
  readonly undecided: Finding[];
  more: number;
}

/** Collects what a proof finds, claim by claim; of many alike the first are kept. */
export class Findings {
  readonly #claims = new Map<ClaimNumber, Collected>();
  readonly #shown = new Map<DeviationKind, { finding: Finding; isTelling: boolean }>();
  readonly #deviations: readonly Deviation[];
  readonly #allowed: ReadonlySet<DeviationKind>;

  constructor(deviations: readonly Deviation[]) {
    this.#deviations = deviations;
    this.#allowed = new Set(deviations.map(({ kind }) => kind));
  }

  broken(claim: ClaimNumber, finding: Finding): void {
    this.#add(claim, "broken", finding);
  }

  undecided(claim: ClaimNumber, finding: Finding): void {
    this.#add(claim, "undecided", finding);
  }

  /**
   * @param isTelling whether the packet is one that people would think of: the first such is shown
   * @returns false where the rules have no such deviation by design
   */
  byDesign(kind: DeviationKind, finding: () => Finding, isTelling = () => true): boolean {
    if (!this.#allowed.has(kind)) return false;
    const shown = this.#shown.get(kind);
    if (shown === undefined || (!shown.isTelling && isTelling()))
      this.#shown.set(kind, { finding: finding(), isTelling: isTelling() });
    return true;
  }

  claims(family: Family): readonly Claim[] {
    return CLAIM_NUMBERS.map((number) => {
      const { broken, undecided, more } = this.#claims.get(number) ?? { broken: [], undecided: [], more: 0 };
      const status = broken.length > 0 ? "broken" : undecided.length > 0 ? "undecided" : "held";
      return { number, title: titleOf(number, family), status, broken, undecided, more };
    });
  }

  deviations(): readonly ShownDeviation[] {
    return this.#deviations.map(({ kind, text }) => ({ kind, text, finding: this.#shown.get(kind)?.finding }));
  }

  #add(claim: ClaimNumber, list: "broken" | "undecided", finding: Finding): void {
    let collected = this.#claims.get(claim);
    if (collected === undefined) {
      collected = { broken: [], undecided: [], more: 0 };
      this.#claims.set(claim, collected);
    }
    // One packet for each cause is worth more than many for one.
    const isAlike = collected[list].some(
      ({ message, placed }) => message === finding.message && placed?.rule === finding.placed?.rule,
    );
    if (isAlike || collected[list].length >= SHOWN) collected.more++;
    else collected[list].push(finding);
  }
}
