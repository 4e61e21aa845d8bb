import type { Topology } from "@svcproxy/topology";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Source, SourceEvent, SourceSnapshot } from "../source.ts";

/** A source, and the hand that changes what it follows. */
export interface SourceHarness extends AsyncDisposable {
  readonly source: Source;
  /** The topology is this text's from now on. */
  write(topology: string): Promise<void>;
  /** What is there cannot be read as a topology any more. */
  spoil(): Promise<void>;
  /** The service (`namespace/name`) cannot be read any more, all else is as it was written last. */
  spoilEntry(service: string): Promise<void>;
}

const HOSTS = `
hosts:
  - { name: a, address: 192.0.2.1, podCIDR: 10.1.0.0/24 }
  - { name: b, address: 192.0.2.2, podCIDR: 10.2.0.0/24 }
`;

const ONE = "  - { name: one, clusterIP: 10.96.0.1, ports: [{ port: 80 }], endpoints: ['10.1.0.1:80'] }\n";
const TWO = "  - { name: two, clusterIP: 10.96.0.2, ports: [{ port: 80 }], endpoints: ['10.2.0.2:80'] }\n";
const TWO_MOVED = "  - { name: two, clusterIP: 10.96.0.2, ports: [{ port: 80 }], endpoints: ['10.2.0.3:80'] }\n";
const THREE =
  "  - { name: three, namespace: other, clusterIP: 10.96.0.3, ports: [{ port: 80 }], endpoints: ['10.2.0.2:80'] }\n";

function topology(...services: readonly string[]): string {
  return `${HOSTS}services:\n${services.join("")}`;
}

/** What a source is like, beyond what holds for each. */
export interface SourceTraits {
  /** It may fall silent, and tells when it was heard last. */
  readonly mayFallSilent?: boolean;
  /** It tells of the first host alone. */
  readonly seesFirstHostOnly?: boolean;
}

/** What holds for every source, whatever it follows. */
export function describeSource(
  name: string,
  start: () => Promise<SourceHarness>,
  { mayFallSilent = false, seesFirstHostOnly = false }: SourceTraits = {},
): void {
  async function follow(first: string | undefined) {
    const harness = await start();
    onTestFinished(() => harness[Symbol.asyncDispose]());
    if (first !== undefined) await harness.write(first);
    else await harness.spoil();
    const ending = new AbortController();
    onTestFinished(() => ending.abort());
    const events = harness.source.follow(ending.signal)[Symbol.asyncIterator]();
    const next = async (): Promise<SourceEvent> => {
      const { done, value } = await events.next();
      if (done === true) throw new Error("it ended");
      return value;
    };
    const snapshot = async (isIt: (topology: Topology) => boolean = () => true): Promise<SourceSnapshot> => {
      for (;;) {
        const event = await next();
        if (event.kind === "snapshot" && isIt(event.topology)) return event;
      }
    };
    return {
      ...harness,
      write: harness.write.bind(harness),
      spoil: harness.spoil.bind(harness),
      spoilEntry: harness.spoilEntry.bind(harness),
      events,
      next,
      snapshot,
      ending,
    };
  }

  describe(`${name} as a source`, () => {
    test("tells the whole state first", async () => {
      const { next } = await follow(topology(ONE, TWO));
      const event = await next();
      expect(event).toMatchObject({ kind: "snapshot", changed: "everything", complete: true });
      expect(event.kind === "snapshot" && event.topology.services.map((service) => service.name)).toEqual([
        "one",
        "two",
      ]);
    });

    test("names the service that changed, and shares all the rest", async () => {
      const { write, snapshot } = await follow(topology(ONE, TWO));
      const before = await snapshot();
      await write(topology(ONE, TWO_MOVED));
      const after = await snapshot(({ services }) => services[1] !== before.topology.services[1]);
      expect(after.changed).toEqual(new Set(["default/two"]));
      expect(after.topology.hosts).toBe(before.topology.hosts);
      expect(after.topology.node).toBe(before.topology.node);
      expect(after.topology.services[0]).toBe(before.topology.services[0]);
      expect(after.topology.services[1]).not.toBe(before.topology.services[1]);
    });

    test("names the services that come and those that go, with their namespace", async () => {
      const { write, snapshot } = await follow(topology(ONE, TWO));
      await snapshot();
      await write(topology(ONE, THREE));
      expect((await snapshot()).changed).toEqual(new Set(["default/two", "other/three"]));
    });

    test("a host that is otherwise may count for every service", async () => {
      const { write, snapshot } = await follow(topology(ONE, TWO));
      const before = await snapshot();
      const block = seesFirstHostOnly ? "10.1.0.0/24" : "10.2.0.0/24";
      await write(topology(ONE, TWO).replace(block, "10.3.0.0/24"));
      const after = await snapshot();
      expect(after.changed).toBe("everything");
      expect(after.topology.services).toBe(before.topology.services);
      expect(after.topology.hosts[0] === before.topology.hosts[0]).toBe(!seesFirstHostOnly);
    });

    test("tells a problem, goes on following, and shares with the last state that there was", async () => {
      const { write, spoil, next, snapshot } = await follow(topology(ONE, TWO));
      const before = await snapshot();
      await spoil();
      const event = await next();
      if (event.kind !== "problem") throw new Error("it has no problem");
      expect(event.problems[0].severity).toBe("error");
      expect(event.problems[0].text).not.toBe("");
      expect(event.error.message).toBe(event.problems[0].text);
      await write(topology(ONE, TWO_MOVED));
      // Of what it hears in parts, the first may be a part that is as it was.
      const after = await snapshot(({ services }) => services[1] !== before.topology.services[1]);
      expect(after.changed).toEqual(new Set(["default/two"]));
      expect(after.topology.services[0]).toBe(before.topology.services[0]);
    });

    test("where the state is back as it was, the problem is over and nothing has changed", async () => {
      const { write, spoil, next, snapshot } = await follow(topology(ONE));
      const before = await snapshot();
      await spoil();
      expect((await next()).kind).toBe("problem");
      await write(topology(ONE));
      const after = await snapshot();
      expect(after.changed).toEqual(new Set());
      expect(after.topology).toBe(before.topology);
    });

    test("one entry that cannot be read is refused and named, its last state stays, and it holds up nothing", async () => {
      const { write, spoilEntry, snapshot } = await follow(topology(ONE, TWO));
      const before = await snapshot();
      expect(before.refused ?? []).toEqual([]);
      await spoilEntry("default/two");
      const refusing = await snapshot();
      expect(refusing).toMatchObject({ complete: true, changed: new Set() });
      expect(refusing.refused).toMatchObject([
        { entry: expect.stringContaining("two"), isKept: true, problems: [{ severity: "error" }] },
      ]);
      expect(refusing.topology.services).toEqual(before.topology.services);
      await write(topology(ONE, TWO_MOVED));
      const after = await snapshot(({ services }) => services[1] !== before.topology.services[1]);
      expect(after.refused ?? []).toEqual([]);
      expect(after.changed).toEqual(new Set(["default/two"]));
      expect(after.topology.services[0]).toBe(before.topology.services[0]);
    });

    if (mayFallSilent) {
      test("tells when it was heard last, and nothing before it was", async () => {
        const { source, snapshot } = await follow(topology(ONE));
        expect(source.lastHeard?.()).toBeUndefined();
        const before = Date.now();
        await snapshot();
        expect(source.lastHeard?.()?.getTime()).toBeGreaterThanOrEqual(before);
      });
    }

    test("starts with a problem, and tells the state once there is one", async () => {
      const { write, next, snapshot } = await follow(undefined);
      expect((await next()).kind).toBe("problem");
      await write(topology(ONE));
      expect(await snapshot()).toMatchObject({ changed: "everything", complete: true });
    });

    test("what changes while nobody asks comes in one", async () => {
      const { write, snapshot } = await follow(topology(ONE, TWO));
      await snapshot();
      for (let round = 0; round < 5; round++)
        await write(topology(ONE, TWO_MOVED.replace("10.2.0.3", `10.2.0.${10 + round}`)));
      await write(topology(TWO_MOVED, THREE));
      const changes = await snapshot(({ services }) => services.some((service) => service.name === "three"));
      expect(changes.topology.services.map((service) => service.name)).toEqual(["two", "three"]);
    });

    test("ends without an error when it is told to, also while it waits", async () => {
      const { events, snapshot, ending } = await follow(topology(ONE));
      await snapshot();
      const waiting = events.next();
      ending.abort();
      expect(await waiting).toEqual({ done: true, value: undefined });
    });

    test("tells nothing once it was told to end", async () => {
      const { source } = await follow(topology(ONE));
      const events = source.follow(AbortSignal.abort())[Symbol.asyncIterator]();
      expect((await events.next()).done).toBe(true);
    });
  });
}
