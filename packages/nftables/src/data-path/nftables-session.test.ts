import { contractPlan } from "@svcproxy/host/testing";
import { expect, test } from "vitest";
import { MemoryMachine } from "../testing/memory-machine.ts";
import { NftablesDataPath } from "./nftables-data-path.ts";
import type { NftablesSettings } from "./nftables-settings.ts";

const { signal } = new AbortController();

/** A machine in memory, and a session that keeps a plan on it. */
async function openSession({ takePorts }: Pick<NftablesSettings, "takePorts"> = {}) {
  const machine = new MemoryMachine();
  const dataPath = new NftablesDataPath({ machine, settings: { takePorts } });
  return { machine, dataPath, session: await dataPath.open(signal) };
}

const plan = contractPlan({ v6: false });
const [hostAddress] = plan.host.addresses;
if (hostAddress === undefined) throw new Error("the host has no address");
const SSH = { protocol: "tcp", port: 30_080, address: hostAddress, inode: 7 } as const;

test("a NodePort that a program comes to listen on is left out, and comes back when the program ends", async () => {
  const { machine, dataPath, session } = await openSession();
  await using _ = session;
  await session.apply(plan);
  const looks = machine.looks;
  machine.listeners = [SSH];
  const { problems } = await session.apply(plan, { changed: new Set() });
  expect(problems).toMatchObject([{ code: "NODE_PORT_TAKEN", severity: "error" }]);
  expect(machine.looks).toBe(looks);
  expect(machine.table(4).read()?.elements.get("nodeports")?.has("tcp . 30080")).not.toBe(true);
  expect(session.status().filter(({ state }) => state !== "in-force")).toMatchObject([
    { service: "default/web", state: "refused", problem: { code: "NODE_PORT_TAKEN" } },
  ]);
  // What is left out is no difference, and is told.
  expect(await dataPath.compare(plan, { signal })).toMatchObject({
    differences: [],
    problems: [{ code: "NODE_PORT_TAKEN" }],
  });
  machine.listeners = [];
  expect((await session.apply(plan, { changed: new Set() })).problems).toEqual([]);
  expect(machine.table(4).read()?.elements.get("nodeports")?.has("tcp . 30080")).toBe(true);
  expect(session.status().every(({ state }) => state === "in-force")).toBe(true);
});

test("a NodePort is taken from a program where that is asked for", async () => {
  const { machine, session } = await openSession({ takePorts: new Set([30_080]) });
  await using _ = session;
  machine.listeners = [SSH];
  expect((await session.apply(plan)).problems).toEqual([]);
  expect(machine.table(4).read()?.elements.get("nodeports")?.has("tcp . 30080")).toBe(true);
});
