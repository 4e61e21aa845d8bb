import { renderEntry, splitTopology } from "@svcproxy/topology";
import { describe, expect, onTestFinished, test } from "vitest";
import { EtcdClient } from "../client/etcd-client.ts";
import { commit, readRange } from "../client/etcd-store.ts";
import { followedRange, generationKey } from "../etcd-layout.ts";
import { effectiveEntries } from "../source/effective-entries.ts";
import { EtcdSource } from "../source/etcd-source.ts";
import { ETCDS, RealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";
import { getEntries } from "./get-entries.ts";
import { EntryWriter } from "./put-entries.ts";

const reason = whyNoEtcd();
const doing = "write what the test needs";
const signal = new AbortController().signal;

describe.skipIf(reason !== undefined).for(ETCDS)(`with %s${reason === undefined ? "" : ` (${reason})`}`, (program) => {
  test("a file comes back as it was, in its order, also where it was staged", async () => {
    const { client } = await started(program);
    for (const services of [3, 300]) {
      const text = fileOf(services, { reversed: true });
      expect(await write(client, text)).toMatchObject({ isStaged: services > 100 });
      expect(await get(client)).toBe(text);
      expect(await write(client, text)).toEqual({ isStaged: false });
      // Nothing of what was staged is left.
      const { entries } = await readRange(client, followedRange("/svcproxy"));
      expect(entries.filter(({ key }) => key.includes("/generations/"))).toEqual([]);
    }
  });

  test("a follower sees all of a large one at once, and nothing of it before", async () => {
    const { client, etcd } = await started(program);
    await write(client, fileOf(300));
    const source = new EtcdSource({ settings: etcd.settings, guardLeast: 10, ownHost: () => undefined });
    const ending = new AbortController();
    const seen: string[] = [];
    const following = (async () => {
      for await (const event of source.follow(ending.signal)) {
        if (event.kind !== "snapshot") continue;
        const ports = event.topology.services.map(({ ports: [port] }) => port?.port);
        seen.push(`${ports.length} × ${[...new Set(ports)].join(", ")}`);
        if (seen.at(-1) === "250 × 81") ending.abort();
      }
    })();
    while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await write(client, fileOf(250, { port: 81 }));
    await following;
    expect([...new Set(seen)]).toEqual(["300 × 80", "250 × 81"]);
  });

  test("one that is killed after any of its transactions leaves the old state or the new, and the next ends it", async () => {
    const { client, etcd } = await started(program);
    const [old, wanted, next] = [fileOf(200), fileOf(190, { port: 81 }), fileOf(10, { port: 82 })];
    const states = new Set<string>();
    for (let calls = 1; calls < 12; calls++) {
      await write(client, old);
      const dying = new DyingClient(etcd.settings, calls);
      const outcome = await write(dying, wanted).catch((error: unknown) => String(error));
      const state = await get(client);
      expect([old, wanted]).toContain(state);
      states.add(state);
      await write(client, next);
      expect(await get(client)).toBe(next);
      const { entries } = await readRange(client, followedRange("/svcproxy"));
      expect(entries).toHaveLength(1 + 10 + 1);
      if (typeof outcome !== "string") break;
    }
    expect(states.size).toBe(2);
  });

  test("of two at the same time one is told to look again, and nothing is mixed", async () => {
    const { client } = await started(program);
    await write(client, fileOf(5));
    for (const count of [6, 200]) {
      const writer = new EntryWriter(client, { prefix: "/svcproxy", signal });
      const first = await writer.prepare(split(fileOf(count)));
      const second = await writer.prepare(split(fileOf(count, { port: 81 })));
      await writer.put(first);
      await expect(writer.put(second)).rejects.toMatchObject({ code: "ETCD_CONFLICT" });
      expect(await get(client)).toBe(fileOf(count));
      // By hand as well.
      const third = await writer.prepare(split(fileOf(count, { port: 82 })));
      await commit(client, [{ kind: "put", key: "/svcproxy/services/default/hand", value: "clusterIP: None" }], {
        doing,
      });
      await expect(writer.put(third)).rejects.toMatchObject({ code: "ETCD_CONFLICT" });
      const { entries } = effectiveEntries((await readRange(client, followedRange("/svcproxy"))).entries, "/svcproxy");
      expect(entries.size).toBe(1 + count + 1);
    }
  });

  test("what is written by hand, in JSON or otherwise, and means the same is no change", async () => {
    const { client } = await started(program);
    await write(client, fileOf(1));
    const value = '{"ports": [{"port": 80}], "clusterIP": "10.96.0.1", "endpoints": ["10.1.0.1:80"]}';
    await commit(client, [{ kind: "put", key: "/svcproxy/services/default/s00000", value }], { doing });
    const writer = new EntryWriter(client, { prefix: "/svcproxy", signal });
    expect((await writer.prepare(split(fileOf(1)))).plan.changes).toEqual([]);
    await commit(client, [{ kind: "put", key: generationKey("/svcproxy"), value: "nonsense" }], { doing });
    expect(await write(client, fileOf(2))).toMatchObject({ isStaged: false });
  });
});

/** Ends like a program that is killed, before a call. */
class DyingClient extends EtcdClient {
  #left: number;

  constructor(settings: ConstructorParameters<typeof EtcdClient>[0], calls: number) {
    super(settings);
    this.#left = calls;
  }

  override async call(...args: Parameters<EtcdClient["call"]>): ReturnType<EtcdClient["call"]> {
    if (this.#left-- <= 0) throw new Error("killed");
    return super.call(...args);
  }
}

async function write(client: EtcdClient, text: string) {
  const writer = new EntryWriter(client, { prefix: "/svcproxy", signal });
  return writer.put(await writer.prepare(split(text)));
}

async function get(client: EtcdClient): Promise<string> {
  return renderEntry(await getEntries(client, { prefix: "/svcproxy", signal }));
}

function split(text: string) {
  return splitTopology({ file: "test.yaml", bytes: Buffer.from(text) });
}

function fileOf(services: number, { port = 80, reversed = false } = {}): string {
  const listed = Array.from({ length: services }, (_, index) => {
    const name = `s${String(index).padStart(5, "0")}`;
    return `  - name: ${name}\n    clusterIP: 10.96.${Math.floor(index / 200)}.${(index % 200) + 1}\n    ports:\n      - port: ${port}\n    endpoints:\n      - 10.1.0.1:80\n`;
  });
  return `hosts:\n  - name: a\n    address: 192.0.2.1\nservices:\n${(reversed ? listed.toReversed() : listed).join("")}`;
}

async function started(program: string) {
  const etcd = await RealEtcd.start({ program });
  onTestFinished(() => etcd[Symbol.asyncDispose]());
  const client = etcd.client();
  onTestFinished(() => client.close());
  return { etcd, client };
}
