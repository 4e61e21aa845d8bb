import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { type Dial, ETCD_HOSTS, EtcdLab, endpointsOf, TOPOLOGY, whyNoEtcdProgram } from "../testing/etcd-lab.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "nsenter"]) ?? whyNoEtcdProgram();
const HOSTS = ETCD_HOSTS.map(({ name }) => name);

describe.skipIf(reason !== undefined)(
  `hosts that follow one etcd${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 400_000 },
  () => {
    test("what dies is out on every host and every data path, however many, and nothing that only lost etcd is", async ({
      expect,
      annotate,
    }) => {
      await using world = await EtcdLab.start();
      const put = await world.svcproxy("client", ["etcd", "put", "-", "--etcd", world.url], TOPOLOGY);
      expect([put.exitCode, put.stdout]).toEqual([0, expect.stringContaining("+ services/default/many")]);
      for (const host of HOSTS) {
        world.startAgent(host);
        world.startApplication(host);
        world.startRegistrations(host);
        world.startClient(host);
      }
      await reach(world, [...HOSTS]);

      // One of three, and four of twelve: below the guard's floor.
      let killedAt = performance.now();
      world.killApplication("h2");
      await reach(world, ["h1", "h3"]);
      await annotate(`one of three is out after ${lastFault(world, killedAt)} s`);
      await noneFails(world);
      world.startApplication("h2");
      await reach(world, [...HOSTS]);

      // Ten of fifteen: above it, and each of them says so.
      killedAt = performance.now();
      world.killApplication("h1");
      world.killApplication("h2");
      await reach(world, ["h3"]);
      await annotate(`ten of fifteen are out after ${lastFault(world, killedAt)} s`);
      await noneFails(world);
      const startedAt = performance.now();
      world.startApplication("h1");
      world.startApplication("h2");
      await reach(world, [...HOSTS]);
      await annotate(`and the first of them back after ${firstBack(world, startedAt)} s on the slowest host`);

      // A host that is cut off from etcd: the others let it go, and it keeps what it had.
      await world.cutOff("h3", true);
      await reach(world, ["h1", "h2"], ["h1", "h2"]);
      await reach(world, [...HOSTS], ["h3"]);
      await world.cutOff("h3", false);
      await reach(world, [...HOSTS]);

      // Ten of fifteen that vanish without a word.
      world.killRegistrations("h1");
      world.killRegistrations("h2");
      for (const host of HOSTS) {
        await world.until(
          async () => JSON.stringify(await world.status(host)).includes('"staleEndpoints":10'),
          () => `${host} keeps no endpoints that vanished:\n${world.said(`agent ${host}`)}`,
        );
      }
      await reach(world, [...HOSTS]);
      await noneFails(world);
      world.startRegistrations("h1");
      world.startRegistrations("h2");
      for (const host of HOSTS) {
        await world.until(
          async () => !JSON.stringify(await world.status(host)).includes("staleEndpoints"),
          () => `${host} still keeps what is back:\n${world.said(`agent ${host}`)}`,
        );
      }

      // etcd is gone for longer than any lease, and back.
      world.killEtcd();
      for (const host of HOSTS) {
        await world.until(
          async () => JSON.stringify(await world.status(host)).includes("ETCD_UNREACHABLE"),
          () => `${host} does not miss etcd:\n${world.said(`agent ${host}`)}`,
        );
      }
      await reach(world, [...HOSTS]);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      await noneFails(world);
      await world.startEtcd();
      for (const host of HOSTS) {
        await world.until(
          async () => (await world.status(host))["state"] === "following",
          () => `${host} does not follow again:\n${world.said(`agent ${host}`)}`,
        );
      }
      await reach(world, [...HOSTS]);
      await noneFails(world);
    });
  },
);

/** Waits until clients on `from` reach exactly the endpoints of those hosts, and each of them, in a row of dials without a fault. */
async function reach(
  world: EtcdLab,
  hosts: readonly (typeof HOSTS)[number][],
  from: readonly (typeof HOSTS)[number][] = HOSTS,
): Promise<void> {
  for (const host of from) {
    for (const service of ["one", "many"] as const) {
      const wanted = endpointsOf(service, hosts);
      const recent = () => lastDials(world.dials[host], { service, count: 8 * wanted.length });
      await world.until(
        () => {
          const dials = recent();
          const by = [...new Set(dials.map((dial) => dial.by ?? "nobody"))].toSorted();
          return dials.length === 8 * wanted.length && by.join() === wanted.join();
        },
        () =>
          `${host} reaches ${service} by ${JSON.stringify(recent().map(({ by, error }) => by ?? error))}\n${world.said(`agent ${host}`)}`,
      );
    }
  }
}

/** Seconds until the last connection that failed, on any host. */
function lastFault({ dials }: EtcdLab, from: number): string {
  const faults = Object.values(dials).flatMap((all) => all.filter(({ at, error }) => at > from && error !== undefined));
  return ((Math.max(from, ...faults.map(({ at }) => at)) - from) / 1_000).toFixed(1);
}

/** Seconds until a connection was answered by h1, on each host. */
function firstBack({ dials }: EtcdLab, from: number): string {
  const back = endpointsOf("many", ["h1"]);
  const first = Object.values(dials).map(
    (all) => all.find(({ at, by = "" }) => at > from && back.includes(by))?.at ?? from,
  );
  return ((Math.max(...first) - from) / 1_000).toFixed(1);
}

function lastDials(dials: readonly Dial[], { service, count }: { service: string; count: number }): readonly Dial[] {
  return dials.filter((dial) => dial.service === service).slice(-count);
}

/** Of the connections of the next second. */
async function noneFails(world: EtcdLab): Promise<void> {
  const from = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const failed = Object.entries(world.dials).flatMap(([host, dials]) =>
    dials
      .filter(({ at, error }) => at > from && error !== undefined)
      .map(({ service, error }) => `${host} ${service}: ${error}`),
  );
  if (failed.length > 0) throw new Error(failed.join("\n"));
}
