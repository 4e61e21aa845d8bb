import process from "node:process";
import { commit, type EtcdOperation } from "../src/etcd/client/etcd-store.ts";
import { EtcdSource } from "../src/etcd/source/etcd-source.ts";
import { RealEtcd } from "../src/etcd/testing/real-etcd.ts";

/**
 * How long it takes from etcd to a snapshot: all of a large topology at once, and one endpoint that changes. Needs an etcd on the PATH.
 *
 *     node packages/agent/bench/etcd-source.ts [SERVICES] [ENDPOINTS EACH]
 */
const [services = 5_000, each = 2] = process.argv.slice(2).map(Number);
const doing = "write what the benchmark needs";
await using etcd = await RealEtcd.start();
const client = etcd.client();

const operations: EtcdOperation[] = [{ kind: "put", key: "/svcproxy/hosts/a", value: "address: 192.0.2.1" }];
for (let index = 0; index < services; index++) {
  const value = `clusterIP: 10.${96 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}\nports: [{ port: 80 }]\n`;
  operations.push({ kind: "put", key: `/svcproxy/services/default/s${index}`, value });
  for (let one = 0; one < each; one++) operations.push(endpoint(index, one, 3000));
}
for (let from = 0; from < operations.length; from += 128)
  await commit(client, operations.slice(from, from + 128), { doing });

const source = new EtcdSource({ settings: etcd.settings, guardLeast: 10, ownHost: () => "a" });
const ending = new AbortController();
const events = source.follow(ending.signal)[Symbol.asyncIterator]();
const startedMs = performance.now();
await events.next();
print("all of it", performance.now() - startedMs);

const changesMs: number[] = [];
const cpu = process.cpuUsage();
for (let round = 0; round < 100; round++) {
  const changedMs = performance.now();
  const next = events.next();
  await commit(client, [endpoint(round, 0, 4000 + round)], { doing });
  await next;
  changesMs.push(performance.now() - changedMs);
}
const { user, system } = process.cpuUsage(cpu);
print("one endpoint, median", changesMs.toSorted((a, b) => a - b)[50] ?? 0);
print("CPU for one", (user + system) / 1_000 / 100);
ending.abort();
client.close();

function endpoint(service: number, one: number, port: number): EtcdOperation {
  const address = `10.${1 + one}.${(service >> 8) & 255}.${service & 255}:${port}`;
  return { kind: "put", key: `/svcproxy/endpoints/default/s${service}/${one}`, value: JSON.stringify({ address }) };
}

function print(what: string, ms: number): void {
  process.stdout.write(`${services} services × ${each}: ${what} ${ms.toFixed(1)} ms\n`);
}
