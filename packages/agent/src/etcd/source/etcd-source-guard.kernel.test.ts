import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { SourceEvent, SourceSnapshot } from "../../source.ts";
import type { EtcdClient } from "../client/etcd-client.ts";
import { commit, type EtcdOperation } from "../client/etcd-store.ts";
import { StatusKeeper } from "../status-keeper.ts";
import { ETCDS, RealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";
import { EtcdSource } from "./etcd-source.ts";

const reason = whyNoEtcd();
const doing = "write what the test needs";
const WEB = "clusterIP: 10.96.0.1\nports: [{ port: 80 }]";

describe.skipIf(reason !== undefined).for(ETCDS)(`with %s${reason === undefined ? "" : ` (${reason})`}`, (program) => {
  test("endpoints that vanish in numbers are kept and counted until they return or are confirmed, and all else goes on", async () => {
    const { client, follow } = await started(program);
    await put(client, { "services/default/web": WEB, ...registered(12) });
    const source = follow("a");
    await source.has(12);
    for (let index = 0; index < 11; index++) await remove(client, `endpoints/default/web/e${index}`);
    await vi.waitFor(() => expect(source.last().staleEndpoints).toBe(11));
    await put(client, { "services/default/other": WEB.replace("10.96.0.1", "10.96.0.2"), ...registered(3) });
    await vi.waitFor(() => expect(source.last().staleEndpoints).toBe(8));
    expect(source.last().topology.services).toHaveLength(2);
    expect(endpointCount(source.last())).toBe(12);
    expect(source.source.confirm()).toContain("8 endpoints");
    await source.has(4);
    expect(source.last().withdrawn?.size).toBe(8);
    expect(source.source.confirm()).toBeUndefined();
  });

  test("those that say first that they are unwell go at once, however many", async () => {
    const { client, follow } = await started(program);
    await put(client, { "services/default/web": WEB, ...registered(12) });
    const source = follow("a");
    await source.has(12);
    for (let index = 0; index < 12; index++) {
      const path = `endpoints/default/web/e${index}`;
      await put(client, { [path]: JSON.stringify({ ...addressOf(index), ready: false }) });
      await remove(client, path);
    }
    await source.has(0);
    expect(source.last()).toMatchObject({ staleEndpoints: 0 });
    expect(source.last().withdrawn?.size).toBe(12);
  });

  test("in an etcd that is wiped nothing is taken away; in an older one endpoints may return first", async () => {
    const { etcd, client, follow } = await started(program);
    await put(client, { "services/default/web": WEB, ...registered(1) });
    const snapshot = await etcd.snapshot();
    await put(client, registered(3));
    const source = follow("a");
    await source.has(3);
    await etcd.restore(snapshot);
    await vi.waitFor(() => expect(source.last().staleEndpoints).toBe(2));
    expect(endpointCount(source.last())).toBe(3);
    await put(client, registered(3));
    await vi.waitFor(() => expect(source.last().staleEndpoints).toBe(0));
    await etcd.restore();
    await vi.waitFor(() => expect(source.problem()).toBe("NO_ENTRIES"));
  });

  test("a bad registration keeps its last good state; one that is new is left out and named", async () => {
    const { client, follow } = await started(program);
    await put(client, { "services/default/web": WEB, ...registered(1) });
    const source = follow("a");
    await source.has(1);
    await put(client, { "endpoints/default/web/e0": "address: 10.1.0.300:80", "endpoints/default/web/e9": "{" });
    await vi.waitFor(() => expect(source.last().refused).toHaveLength(2));
    expect(source.last().refused).toMatchObject([
      { entry: "etcd /svcproxy/endpoints/default/web/e0", isKept: true, problems: [{ at: { line: 1, column: 10 } }] },
      { entry: "etcd /svcproxy/endpoints/default/web/e9", isKept: false },
    ]);
    expect(endpointCount(source.last())).toBe(1);
  });

  test("canaries have a change first; where one is degraded the others keep what they had, and health goes on", async () => {
    const { client, follow } = await started(program);
    const settings = "canaryHosts: [c]\ncanarySeconds: 1";
    await put(client, { "hosts/c": "address: 192.0.2.3", settings, "services/default/web": WEB, ...registered(1) });
    const canary = follow("c");
    const other = follow("a");
    await canary.has(1);
    await other.has(1);
    let state = "following";
    const standing = () => ({ host: "c", state });
    const logger = pino({ level: "silent" });
    await using _keeper = new StatusKeeper({ source: canary.source, prefix: "/svcproxy", standing, logger });
    const port = (of: typeof canary) => of.last().topology.services[0]?.ports[0]?.port;
    const change = (to: number) => put(client, { "services/default/web": WEB.replace("80", String(to)) });

    await change(81);
    await vi.waitFor(() => expect(port(canary)).toBe(81));
    expect(port(other)).toBe(80);
    await put(client, registered(2));
    await vi.waitFor(() => expect(endpointCount(other.last())).toBe(2));
    expect(other.last().warnings).toMatchObject([{ code: "CANARY_FIRST" }]);
    await vi.waitFor(() => expect(port(other)).toBe(81));
    expect(other.last().warnings).toEqual([]);

    state = "degraded";
    await change(82);
    await vi.waitFor(() => expect(other.last().warnings).toMatchObject([{ code: "CANARY_DEGRADED" }]));
    expect([port(canary), port(other)]).toEqual([82, 81]);
    state = "following";
    await vi.waitFor(() => expect(port(other)).toBe(82));

    state = "degraded";
    await change(83);
    await vi.waitFor(() => expect(other.last().warnings).toMatchObject([{ code: "CANARY_DEGRADED" }]));
    expect(other.source.confirm()).toContain("canaries");
    await vi.waitFor(() => expect(port(other)).toBe(83));
  });
});

async function started(program: string) {
  const etcd = await RealEtcd.start({ program });
  onTestFinished(() => etcd[Symbol.asyncDispose]());
  const client = etcd.client();
  onTestFinished(() => client.close());
  await put(client, { "hosts/a": "address: 192.0.2.1" });
  const follow = (host: string) => {
    const times = { firstRetryMs: 50 };
    const source = new EtcdSource({ settings: etcd.settings, guardLeast: 10, ownHost: () => host, times });
    const ending = new AbortController();
    const events: SourceEvent[] = [];
    const running = (async () => {
      for await (const event of source.follow(ending.signal)) events.push(event);
    })();
    onTestFinished(async () => {
      ending.abort();
      await running;
    });
    const last = (): SourceSnapshot => {
      const event = events.findLast(({ kind }) => kind === "snapshot");
      if (event?.kind !== "snapshot") throw new Error("there is no snapshot yet");
      return event;
    };
    return {
      ...{ source, last },
      problem: () => {
        const event = events.at(-1);
        return event?.kind === "problem" ? event.problems[0].code : undefined;
      },
      has: (count: number) => vi.waitFor(() => expect(endpointCount(last())).toBe(count)),
    };
  };
  return { etcd, client, follow };
}

function endpointCount({ topology }: SourceSnapshot): number {
  return topology.services.find(({ name }) => name === "web")?.ports[0]?.endpoints.length ?? 0;
}

function addressOf(index: number) {
  return { address: `10.1.0.${index + 1}:80` };
}

function registered(count: number): Readonly<Record<string, string>> {
  const entries = Array.from({ length: count }, (_, index) => [
    `endpoints/default/web/e${index}`,
    JSON.stringify(addressOf(index)),
  ]);
  return Object.fromEntries(entries);
}

async function put(client: EtcdClient, entries: Readonly<Record<string, string>>): Promise<void> {
  const operations = Object.entries(entries).map(
    ([path, value]): EtcdOperation => ({ kind: "put", key: `/svcproxy/${path}`, value }),
  );
  await commit(client, operations, { doing });
}

async function remove(client: EtcdClient, path: string): Promise<void> {
  await commit(client, [{ kind: "delete", key: `/svcproxy/${path}` }], { doing });
}
