import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ConnectionShares, type ShareHolder, shareOut } from "./connection-shares.ts";
import { RemoteLimiter } from "./remote-limiter.ts";

const REQUEST = { client: "192.0.2.1", counted: true };

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

/** Workers and their supervisor, whose messages arrive when the test says so, each worker's in their order. */
class TestWorkers {
  readonly shares: ConnectionShares<ShareHolder>;
  readonly channels: (() => void)[][] = [];
  readonly open: number[] = [];
  refused = 0;
  asked = 0;
  readonly #limiters: RemoteLimiter[] = [];

  constructor(workers: number, limit: number) {
    this.shares = new ConnectionShares(limit);
    for (let index = 0; index < workers; index++) this.#add({ maxConnections: limit, maxPerClient: 0 });
  }

  #add(limits: { readonly maxConnections: number; readonly maxPerClient: number }): void {
    const [up, down]: [(() => void)[], (() => void)[]] = [[], []];
    const holder: ShareHolder = {
      askUsed: (round) => down.push(() => limiter.reportUse(round)),
      giveShare: (share) => down.push(() => limiter.onShare(share)),
    };
    const limiter = new RemoteLimiter(limits, (message) => {
      this.asked++;
      up.push(() => {
        if (message.kind === "share-wanted") this.shares.wanted();
        else if (message.kind === "share-used") this.shares.reported(holder, message);
      });
    });
    this.#limiters.push(limiter);
    this.open.push(0);
    this.channels.push(up, down);
    this.shares.add(holder);
  }

  connect(worker: number): void {
    this.#limiters[worker]?.admit(REQUEST, {
      onAdmission: ({ kind }) => {
        if (kind === "refused") this.refused++;
        else this.open[worker] = (this.open[worker] ?? 0) + 1;
      },
    });
  }

  leave(worker: number): void {
    if ((this.open[worker] ?? 0) === 0) return;
    this.open[worker] = (this.open[worker] ?? 0) - 1;
    this.#limiters[worker]?.leave(REQUEST.client);
  }

  /** One message arrives. */
  deliver(channel: number): void {
    this.channels[channel % this.channels.length]?.shift()?.();
  }

  /** All that is under way arrives. */
  settle(): void {
    while (this.channels.some((channel) => channel.length > 0) || vi.getTimerCount() > 0) {
      for (const channel of this.channels) channel.shift()?.();
      vi.advanceTimersByTime(20);
    }
  }

  get total(): number {
    return this.open.reduce((sum, open) => sum + open, 0);
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant("connect" as const), at: fc.nat(3) }),
  fc.record({ kind: fc.constant("leave" as const), at: fc.nat(3) }),
  fc.record({ kind: fc.constant("deliver" as const), at: fc.nat(7) }),
  fc.record({ kind: fc.constant("wait" as const), at: fc.nat(300) }),
);

describe("shares of one limit", () => {
  test("never let more in than the limit, whatever the order of messages, and answer everybody", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 200 }), (limit, steps) => {
        const workers = new TestWorkers(4, limit);
        let [connected, left] = [0, 0];
        for (const { kind, at } of steps) {
          const before = workers.total;
          if (kind === "connect") {
            connected++;
            workers.connect(at);
          } else if (kind === "leave") {
            left += before > 0 && (workers.open[at] ?? 0) > 0 ? 1 : 0;
            workers.leave(at);
          } else if (kind === "deliver") workers.deliver(at);
          else vi.advanceTimersByTime(at);
          expect(workers.total).toBeLessThanOrEqual(limit);
        }
        workers.settle();
        expect(workers.total).toBeLessThanOrEqual(limit);
        expect(workers.total + workers.refused + left).toBe(connected);
      }),
    );
  });

  test.for([1, 2, 4])("are all used by %i of four workers, and what comes beyond is refused", (busy) => {
    const workers = new TestWorkers(4, 103);
    for (let count = 0; count < 200; count++) {
      workers.connect(count % busy);
      if (count % 7 === 0) workers.settle();
    }
    workers.settle();
    expect(workers).toMatchObject({ total: 103, refused: 97 });
    for (let count = 0; count < 200; count++) workers.leave(count % busy);
    for (let count = 0; count < 103; count++) workers.connect(3);
    workers.settle();
    expect(workers.open).toEqual([0, 0, 0, 103]);
  });

  test("cost no message a connection", () => {
    const workers = new TestWorkers(4, 1_000);
    for (let count = 0; count < 10_000; count++) {
      workers.connect(count % 4);
      workers.settle();
      workers.leave(count % 4);
    }
    expect(workers.asked).toBeLessThan(50);
  });

  describe("with one that says nothing", () => {
    function wantWithSilent() {
      const shares = new ConnectionShares<ShareHolder>(10);
      const given: number[] = [];
      const living: ShareHolder = {
        askUsed: (round) => shares.reported(living, { round, use: { used: 0, waiting: 3 } }),
        giveShare: (share) => given.push(share),
      };
      let isSilent = false;
      const silent: ShareHolder = {
        askUsed: (round) => {
          if (!isSilent) shares.reported(silent, { round, use: { used: 2, waiting: 0 } });
        },
        giveShare: () => {},
      };
      for (const holder of [living, silent]) shares.add(holder);
      shares.wanted();
      isSilent = true;
      vi.advanceTimersByTime(20);
      shares.wanted();
      return { shares, given, silent };
    }

    test("it is taken to use its whole share", () => {
      const { given } = wantWithSilent();
      expect(given).toEqual([5]);
      vi.advanceTimersByTime(200);
      expect(given).toEqual([5, 5]);
    });

    test("its share is shared out when it dies", () => {
      const { shares, given, silent } = wantWithSilent();
      shares.remove(silent);
      expect(given).toEqual([5, 10]);
    });
  });
});

test("a share is what is used, what waits as far as there is room, and a part of the rest", () => {
  expect(
    shareOut(10, [
      { used: 4, waiting: 9 },
      { used: 1, waiting: 0 },
    ]),
  ).toEqual([9, 1]);
  expect(
    shareOut(10, [
      { used: 0, waiting: 1 },
      { used: 0, waiting: 0 },
    ]),
  ).toEqual([5, 5]);
  expect(
    shareOut(3, [
      { used: 2, waiting: 0 },
      { used: 3, waiting: 5 },
    ]),
  ).toEqual([2, 3]);
});
