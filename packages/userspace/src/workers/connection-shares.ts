/** At the limit every connection that comes asks for a share: they are answered together, this often. */
const ROUND_EVERY_MS = 20;
/** Who has not answered by then is taken to use all of its share. */
const LONGEST_ROUND_MS = 200;

export interface ShareHolder {
  /** Asks for `ConnectionShares.reported`; until its next share it takes no connection more than it has. */
  askUsed(round: number): void;
  giveShare(share: number): void;
}

/**
 * `maxConnections` for all workers: each has a share of its own to fill, and who has filled its share asks for a round. In a round
 * everybody says what it uses, and what is free is shared out anew; first to those where connections wait. No more is ever shared
 * out than there is, so that the limit is kept exactly, and no message is needed for a connection.
 */
export class ConnectionShares<Holder extends ShareHolder> {
  readonly #limit: number;
  /** With the share that each was given last. */
  readonly #holders = new Map<Holder, number>();
  /** What was said in the round that is under way; undefined: nothing yet. */
  readonly #round = new Map<Holder, ShareUse | undefined>();
  #roundNumber = 0;
  /** Of the next round, or of the end of this one. */
  #timer: NodeJS.Timeout | undefined;
  #roundAtMs = Number.NEGATIVE_INFINITY;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** It has no share yet. */
  add(holder: Holder): void {
    this.#holders.set(holder, 0);
  }

  /** Its connections are gone with it. */
  remove(holder: Holder): void {
    this.#holders.delete(holder);
    if (this.#round.delete(holder)) this.#endRoundIfAllSaid();
  }

  /** A holder's share is full. */
  wanted(): void {
    if (this.#round.size > 0 || this.#timer !== undefined) return;
    const waitMs = this.#roundAtMs + ROUND_EVERY_MS - performance.now();
    if (waitMs <= 0) this.#startRound();
    else this.#timer = setTimeout(() => this.#startRound(), waitMs);
  }

  #startRound(): void {
    this.#roundNumber++;
    this.#roundAtMs = performance.now();
    this.#timer = setTimeout(() => this.#endRound(), LONGEST_ROUND_MS);
    for (const holder of this.#holders.keys()) this.#round.set(holder, undefined);
    for (const holder of this.#holders.keys()) holder.askUsed(this.#roundNumber);
  }

  reported(holder: Holder, { round, use }: ShareReport): void {
    if (round === this.#roundNumber && this.#round.has(holder)) {
      this.#round.set(holder, use);
      this.#endRoundIfAllSaid();
      // It was too late for its round.
    } else if (use.waiting > 0) this.wanted();
  }

  #endRoundIfAllSaid(): void {
    if ([...this.#round.values()].every((use) => use !== undefined)) this.#endRound();
  }

  #endRound(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const answered = [...this.#round].flatMap(([holder, use]) => (use === undefined ? [] : [{ holder, use }]));
    const silent = [...this.#round].filter(([, use]) => use === undefined);
    const kept = silent.reduce((sum, [holder]) => sum + (this.#holders.get(holder) ?? 0), 0);
    const shares = shareOut(
      this.#limit - kept,
      answered.map(({ use }) => use),
    );
    for (const [index, { holder }] of answered.entries()) {
      const share = shares[index] ?? 0;
      this.#holders.set(holder, share);
      holder.giveShare(share);
    }
    this.#round.clear();
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

export interface ShareReport {
  readonly round: number;
  readonly use: ShareUse;
}

export interface ShareUse {
  readonly used: number;
  /** Connections that wait for an answer. */
  readonly waiting: number;
}

/** A share for each, together at most `limit`: what it uses, what waits as far as there is room, and an equal part of the rest. */
export function shareOut(limit: number, uses: readonly ShareUse[]): readonly number[] {
  let free = Math.max(0, limit - uses.reduce((sum, { used }) => sum + used, 0));
  const shares = uses.map(({ used, waiting }, index) => {
    const granted = Math.min(waiting, Math.ceil(free / (uses.length - index)));
    free -= granted;
    return used + granted;
  });
  // Who comes late and waits for more than its part has what others left.
  const filled = shares.map((share, index) => {
    const { used, waiting } = uses[index] ?? { used: 0, waiting: 0 };
    const granted = Math.min(used + waiting - share, free);
    free -= granted;
    return share + granted;
  });
  return filled.map((share, index) => share + Math.floor((free + index) / uses.length));
}
