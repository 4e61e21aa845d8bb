import { once } from "node:events";
import { createServer } from "node:net";
import { censusOf, type DataPathSession, EMPTY_CENSUS } from "@svcproxy/host";
import { MemoryDataPath } from "@svcproxy/host/testing";
import {
  EnvironmentError,
  inputError,
  type Port,
  parsePort,
  parseTopology,
  planHost,
  type Topology,
} from "@svcproxy/topology";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { Agent } from "./agent.ts";
import type { AgentOptions } from "./agent-options.ts";
import { RemovalGuard } from "./removal-guard.ts";
import type { ServiceManager } from "./systemd/service-manager.ts";
import { MemorySource } from "./testing/memory-source.ts";

describe("it carries out", () => {
  test("the first plan, and each change of the source", async () => {
    const { agent, source, served, told } = await started(topologyOf({ web: 1 }));
    expect(served()).toEqual(["web 1"]);
    expect(agent.status()).toMatchObject({ state: "following", host: "one", dataPath: "iptables" });
    source.set(topologyOf({ web: 2, dns: 1 }));
    await vi.waitFor(() => expect(served()).toEqual(["dns 1", "web 2"]));
    expect(told).toEqual(["ready: host one: 1 of 1 service ports in force", "host one: 2 of 2 service ports in force"]);
  });

  test("what changed, and names nothing else to the data path", async () => {
    const { source, served, applied } = await started(topologyOf({ web: 1, dns: 1 }));
    source.set(topologyOf({ web: 2, dns: 1 }));
    await vi.waitFor(() => expect(served()).toContain("web 2"));
    expect(applied).toEqual([undefined, new Set(["default/web"])]);
  });

  test("plans one after the other, and what comes meanwhile in one", async () => {
    const slow = Promise.withResolvers<void>();
    const { source, served, applied } = await started(topologyOf({ web: 1 }), {
      beforeApply: (count) => (count === 1 ? slow.promise : undefined),
    });
    source.set(topologyOf({ web: 2 }));
    await vi.waitFor(() => expect(applied).toHaveLength(2));
    for (const endpoint of [3, 4, 5]) source.set(topologyOf({ web: endpoint }));
    slow.resolve();
    await vi.waitFor(() => expect(served()).toEqual(["web 5"]));
    expect(applied).toHaveLength(3);
  });

  test("what comes within the least time between two changes in one, and the first at once", async () => {
    const { source, served, applied } = await started(topologyOf({ web: 1 }), { minSyncMs: () => 3_000 });
    for (const endpoint of [2, 3, 4]) {
      source.set(topologyOf({ web: endpoint }));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect([served(), applied.length]).toEqual([["web 1"], 1]);
    await vi.waitFor(() => expect(served()).toEqual(["web 4"]));
    expect(applied).toHaveLength(2);
  });

  test("the same topology anew where the machine is another one", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    let address = "192.0.2.1";
    const plans = vi.fn();
    await started(topologyOf({ web: 1 }), { machine: () => address, onPlan: plans });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(plans).toHaveBeenCalledTimes(1);
    address = "192.0.2.2";
    await vi.advanceTimersByTimeAsync(5_000);
    await vi.waitFor(() => expect(plans).toHaveBeenCalledTimes(2));
  });

  test("nothing of a part of the state", async () => {
    const { source, served, applied } = await started(topologyOf({ web: 1, dns: 1 }));
    source.set(topologyOf({ web: 1 }), { complete: false });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([served(), applied.length]).toEqual([["dns 1", "web 1"], 1]);
  });
});

describe("the old plan stays", () => {
  test("while the source has a problem, which is told with its age and its place", async () => {
    const { agent, source, served, said } = await started(topologyOf({ web: 1 }));
    source.fail(inputError("FILE_UNREADABLE", "Cannot read it"));
    await vi.waitFor(() => expect(agent.status().source.fault?.problems[0]?.text).toBe("Cannot read it"));
    expect(said()).toContain("the topology has a fault, the old plan stays: Cannot read it [FILE_UNREADABLE]");
    expect([served(), agent.status().state]).toEqual([["web 1"], "degraded"]);
    source.set(topologyOf({ web: 2 }));
    await vi.waitFor(() => expect(served()).toEqual(["web 2"]));
    expect(agent.status().source.fault).toBeUndefined();
  });

  test("where no plan can be made of what the source says", async () => {
    const { agent, source, served } = await started(topologyOf({ web: 1 }));
    source.set({ ...topologyOf({ web: 2 }), hosts: [] });
    await vi.waitFor(() => expect(agent.status().source.fault?.problems[0]?.code).toBe("UNKNOWN_HOST"));
    expect(served()).toEqual(["web 1"]);
  });

  test("where the machine does not take the new one, which is tried again, later each time", async () => {
    const { agent, dataPath, source, served, applied } = await started(topologyOf({ web: 1 }));
    dataPath.machine.refused = "everything";
    source.set(topologyOf({ web: 2 }));
    await vi.waitFor(() => expect(agent.status().state).toBe("degraded"));
    const { failure, retryAt = "" } = agent.status();
    expect(failure?.problem).toMatchObject({ code: "NEEDS_ROOT" });
    expect(served()).toEqual(["web 1"]);
    await vi.waitFor(() => expect(applied).toHaveLength(3));
    expect(agent.status().failure?.since).toBe(failure?.since);
    const secondRetryAt = agent.status().retryAt ?? "";
    expect(Date.parse(secondRetryAt) - Date.parse(retryAt)).toBeGreaterThan(1_800);
    dataPath.machine.refused = [];
    await vi.waitFor(() => expect(served()).toEqual(["web 2"]));
    expect(agent.status()).toMatchObject({ state: "following" });
    expect(agent.status()).not.toHaveProperty("failure");
    expect(agent.status()).not.toHaveProperty("retryAt");
  });

  test("of one service that the machine refuses, while the others go on; it is tried again", async () => {
    const { agent, dataPath, source, served, said } = await started(topologyOf({ web: 1, dns: 1 }));
    dataPath.machine.refused = topologyOf({ web: 2 }).services.flatMap(({ ports }) =>
      ports.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)),
    );
    source.set(topologyOf({ web: 2, dns: 3 }));
    await vi.waitFor(() => expect(served()).toEqual(["dns 3", "web 1"]));
    expect(agent.status()).toMatchObject({ state: "degraded" });
    expect(agent.status().problems).toMatchObject([{ subject: "service default/web", severity: "error" }]);
    expect(said()).toContain(`"msg":"degraded: ${agent.status().problems[0]?.text}"`);
    dataPath.machine.refused = [];
    await vi.waitFor(() => expect(served()).toEqual(["dns 3", "web 2"]));
    expect(agent.status().state).toBe("following");
  });

  test("after a bug of ours, which is logged with its stack; then everything is compared", async () => {
    const { source, served, applied, said } = await started(topologyOf({ web: 1 }), {
      beforeApply: (count) => {
        if (count === 1) throw new TypeError("oops");
        return undefined;
      },
    });
    source.set(topologyOf({ web: 2 }));
    await vi.waitFor(() => expect(served()).toEqual(["web 2"]));
    expect(applied).toEqual([undefined, new Set(["default/web"]), undefined]);
    expect(said()).toContain("this is a bug in svcproxy");
  });
});

test("an entry that its source refuses is named, and holds up nothing; without it all is well again", async () => {
  const { agent, source, served, said } = await started(topologyOf({ web: 1, dns: 1 }));
  const problem = { code: "PORT_OUT_OF_RANGE", severity: "error", subject: "port", text: "Port 0 is not one" } as const;
  source.refuse("service default/web", problem);
  await vi.waitFor(() => expect(agent.status().state).toBe("degraded"));
  expect(agent.status().source.refused).toMatchObject([{ entry: "service default/web", isKept: true }]);
  expect(agent.status().problems).toEqual([problem]);
  await vi.waitFor(() => expect(said()).toContain("service default/web is refused, its last good state stays: Port 0"));
  source.set(topologyOf({ web: 2, dns: 1 }));
  await vi.waitFor(() => expect(served()).toEqual(["dns 1", "web 2"]));
  expect(agent.status().state).toBe("following");
  expect(agent.status().source).not.toHaveProperty("refused");
});

describe("an impatient start", () => {
  test("ends with what is wrong with the source, and with the topology", async () => {
    const source = new MemorySource();
    source.fail(inputError("FILE_UNREADABLE", "Cannot read it"));
    await expect(newAgent(source).agent.start()).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    const other = new MemorySource();
    other.set({ ...topologyOf({ web: 1 }), hosts: [] });
    await expect(newAgent(other).agent.start()).rejects.toMatchObject({ code: "UNKNOWN_HOST" });
  });

  test("ends with what keeps the data path from carrying anything out, and leaves no session open", async () => {
    const source = new MemorySource();
    source.set(topologyOf({ web: 1 }));
    const { agent, dataPath, sessions } = newAgent(source);
    dataPath.machine.refused = "everything";
    await expect(agent.start()).rejects.toMatchObject({ code: "NEEDS_ROOT" });
    expect(sessions()).toBe(0);
  });

  test("ends with what is done between the opening and the first plan", async () => {
    const source = new MemorySource();
    source.set(topologyOf({ web: 1 }));
    const { agent, served, sessions } = newAgent(source, {
      onOpened: () => Promise.reject(inputError("METRICS_ADDRESS", "taken")),
    });
    await expect(agent.start()).rejects.toMatchObject({ code: "METRICS_ADDRESS" });
    expect([served(), sessions()]).toEqual([[], 0]);
  });
});

test("a patient start waits for a source and a machine that let it", async () => {
  const source = new MemorySource();
  source.fail(inputError("FILE_UNREADABLE", "Cannot read it"));
  const { agent, dataPath, served } = newAgent(source, { patience: "endless" });
  dataPath.machine.refused = "everything";
  const start = agent.start();
  await vi.waitFor(() => expect(agent.status().source.fault).toBeDefined());
  expect(agent.status()).toMatchObject({ state: "starting", ports: [] });
  source.set(topologyOf({ web: 1 }));
  await vi.waitFor(() => expect(agent.status().failure).toBeDefined());
  expect(agent.status().state).toBe("degraded");
  dataPath.machine.refused = [];
  await start;
  expect([served(), agent.status().state]).toEqual([["web 1"], "following"]);
});

test("stopped before its source ever said anything, it ends", async () => {
  const { agent } = newAgent(new MemorySource(), { patience: "endless" });
  const start = agent.start();
  await agent.stop();
  await start;
  expect(agent.status().state).toBe("stopping");
});

test("stopped, it leaves in force what is and follows no more", async () => {
  const { agent, source, served, sessions } = await started(topologyOf({ web: 1 }));
  await agent.stop();
  source.set(topologyOf({ web: 2 }));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect([served(), sessions(), agent.status().state]).toEqual([["web 1"], 0, "stopping"]);
});

test("stopped while it carries a plan out, it opens nothing more: nobody answers health checks", async () => {
  const slow = Promise.withResolvers<void>();
  const port = await freePort();
  const { agent, source, applied } = await started(checked(topologyOf({ web: 1 }), port), {
    afterApply: (count) => (count === 1 ? slow.promise : undefined),
  });
  await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(503));
  source.set(checked(topologyOf({ web: 2 }), port));
  await vi.waitFor(() => expect(applied).toHaveLength(2));
  const stopped = agent.stop();
  slow.resolve();
  await stopped;
  await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
});

test("balancers are told that this host does not keep up, once a change could not be carried out for a minute, until it is", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const port = await freePort();
  let isRefused = false;
  const { agent, source } = await started(checked(topologyOf({ web: 1 }), port), {
    longestRetryMs: 1_000,
    beforeApply: async () => {
      if (isRefused) throw new EnvironmentError("NFT_REFUSED", "The machine refuses");
    },
  });
  const isHealthy = async () => Reflect.get(Object(await (await fetch(`http://127.0.0.1:${port}/`)).json()), HEALTHY);
  const laterBy = (seconds: number) => void vi.setSystemTime(Date.now() + 1_000 * seconds);
  await vi.waitFor(async () => expect(await isHealthy()).toBe(true));
  laterBy(3_600);
  expect(await isHealthy()).toBe(true);
  isRefused = true;
  source.set(checked(topologyOf({ web: 2 }), port));
  await vi.waitFor(() => expect(agent.status().failure).toBeDefined());
  laterBy(50);
  expect(await isHealthy()).toBe(true);
  laterBy(11);
  expect(await isHealthy()).toBe(false);
  isRefused = false;
  await vi.waitFor(async () => expect(await isHealthy()).toBe(true));
  expect(agent.status().state).toBe("following");
});

const HEALTHY = "serviceProxyHealthy";

/** The same with services whose health is asked for at `healthCheckNodePort`. */
function checked({ services, ...rest }: Topology, healthCheckNodePort: Port): Topology {
  const policy = { externalTrafficPolicy: "Local", healthCheckNodePort } as const;
  return { ...rest, services: services.map((service) => ({ ...service, ...policy })) };
}

/** A port on which nobody listens. */
async function freePort(): Promise<Port> {
  const server = createServer().listen(0);
  await once(server, "listening");
  const address = server.address();
  const port = parsePort(typeof address === "object" ? (address?.port ?? 0) : 0);
  await new Promise((resolve) => server.close(resolve));
  if (port === undefined) throw new Error("no port is free");
  return port;
}

describe("a change that takes away most of what is served", () => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`web${index}`, index + 1]));
  const logger = pino({ level: "silent" });
  const nothing = async () => EMPTY_CENSUS;

  test("waits to be confirmed, and what was in force stays", async () => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const { agent, source, served } = await started(topologyOf(many), { guard });
    source.set(topologyOf({ web0: 1 }));
    await vi.waitFor(() => expect(agent.status().held?.lost.vips).toEqual({ gone: 11, of: 12 }));
    expect([served().length, agent.status().state]).toEqual([12, "degraded"]);
    expect(agent.status().problems).toMatchObject([{ code: "CHANGE_HELD" }]);
    expect(await agent.confirm()).toMatchObject({ lost: { endpoints: { gone: 11, of: 12 } } });
    expect([served(), agent.status().state]).toEqual([["web0 1"], "following"]);
    expect(await agent.confirm()).toBeUndefined();
  });

  test("is measured once it is confirmed, not while what was in force is carried out again", async () => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const programmed: number[] = [];
    const { agent, source } = await started(topologyOf(many), {
      guard,
      onCarriedOut: (outcome) => void programmed.push(outcome.programmed.length),
    });
    source.set(topologyOf({ web0: 2 }), { begun: [{ service: "default/web0", family: 4, at: new Date() }] });
    await vi.waitFor(() => expect(agent.status().held).toBeDefined());
    await agent.confirm();
    expect([programmed.at(-1), programmed.filter((count) => count > 0)]).toEqual([1, [1]]);
  });

  test("passes where the source knows that it is meant, as far as it knows", async () => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const full = topologyOf(many);
    const before = planHost(full, { host: "one" });
    const bare = ({ ports, ...service }: Topology["services"][number]) => ({
      ...service,
      ports: ports.map((port) => ({ ...port, endpoints: [] })),
    });
    const emptied = planHost({ ...full, services: full.services.map(bare) }, { host: "one" });
    const endpoints = [...censusOf(before).endpoints];
    expect(await guard.holds(emptied, before, { withdrawn: new Set(endpoints.slice(0, 1)) })).toBe(true);
    expect(guard.held?.lost).toMatchObject({ vips: { gone: 0 }, endpoints: { gone: 11, of: 11 } });
    expect(await guard.holds(emptied, before, { withdrawn: new Set(endpoints) })).toBe(false);
  });

  test("passes where the source says of all of it that it is meant, since something passed last", async () => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const [full, few] = [many, { web0: 1 }].map((ports) => planHost(topologyOf(ports), { host: "one" }));
    if (full === undefined || few === undefined) throw new TypeError("there is no plan");
    guard.told(false);
    expect(await guard.holds(full, undefined)).toBe(false);
    guard.told(true);
    expect(await guard.holds(few, full)).toBe(false);
    guard.told(false);
    guard.told(true);
    expect(await guard.holds(few, full)).toBe(true);
    guard.told(true);
    expect(await guard.holds(few, full)).toBe(true);
    expect(await guard.holds(full, full)).toBe(false);
    guard.told(true);
    expect(await guard.holds(few, full)).toBe(false);
  });

  test("of a source that says what is meant passes through the agent, and not what it does not", async () => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const { agent, source, served } = await started(topologyOf(many), { guard });
    source.set(topologyOf({ web0: 1 }), { isMeant: true });
    await vi.waitFor(() => expect(served()).toEqual(["web0 1"]));
    source.set(topologyOf(many));
    await vi.waitFor(() => expect(served()).toHaveLength(12));
    source.set(topologyOf({ web0: 1 }));
    await vi.waitFor(() => expect(agent.status().held?.lost.vips).toEqual({ gone: 11, of: 12 }));
  });

  test("counts VIPs that nobody is left behind, however few endpoints they shared", async () => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const shared = (count: number) =>
      planHost(
        topologyOf(Object.fromEntries(Object.keys(many).map((name, index) => [name, index < count ? 1 : undefined]))),
        { host: "one" },
      );
    expect(await guard.holds(shared(3), shared(12))).toBe(false);
    expect(await guard.holds(shared(2), shared(12))).toBe(true);
    expect(guard.held?.problem.text).toBe(
      "A change that takes away 0 of 12 VIPs and 0 of 1 endpoints at once, so that 10 of 12 VIPs have no endpoint left, is held back",
    );
    const fromBefore = new RemovalGuard({ least: 10, census: async () => censusOf(shared(12)), logger });
    expect(await fromBefore.holds(shared(0), undefined)).toBe(true);
  });

  test("is forgotten where the source undoes it", async () => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const { agent, source, served } = await started(topologyOf(many), { guard });
    source.set(topologyOf({ web0: 1 }));
    await vi.waitFor(() => expect(agent.status().state).toBe("degraded"));
    source.set(topologyOf({ ...many, web0: 99 }));
    await vi.waitFor(() => expect(served()).toContain("web0 99"));
    expect(agent.status()).toMatchObject({ state: "following" });
    expect(agent.status()).not.toHaveProperty("held");
  });

  test("is held back at the start as well, compared with what the machine has", async () => {
    const vips = new Set(Array.from({ length: 20 }, (_, index) => `10.96.0.${index + 1}`));
    const guard = new RemovalGuard({ least: 10, census: async () => ({ ...EMPTY_CENSUS, vips }), logger });
    const { agent, served, applied } = await started(topologyOf({ web0: 1 }), { guard });
    expect([served(), applied, agent.status().state]).toEqual([[], [], "degraded"]);
    await agent.confirm();
    expect(served()).toEqual(["web0 1"]);
  });

  test.for([
    { name: "half of it", keep: 6, held: false },
    { name: "one more than half, but fewer than the least", keep: 5, held: false },
    { name: "ten of twelve", keep: 2, held: true },
  ])("$name: held back is $held", async ({ keep, held }) => {
    const guard = new RemovalGuard({ least: 10, census: nothing, logger });
    const { agent, source, applied } = await started(topologyOf(many), { guard });
    source.set(topologyOf(Object.fromEntries(Object.entries(many).slice(0, keep))));
    await vi.waitFor(() => expect(agent.status().held !== undefined || applied.length === 2).toBe(true));
    expect(agent.status().held !== undefined).toBe(held);
  });
});

test("a change of endpoints that failed is measured when it is in force, and its failure told as one of changed services", async () => {
  const outcomes: (readonly [number, boolean])[] = [];
  const failures: boolean[] = [];
  const { dataPath, source } = await started(topologyOf({ web: 1 }), {
    onCarriedOut: ({ programmed, refusedPart }) => void outcomes.push([programmed.length, refusedPart]),
    onFailure: ({ isPartial, tookMs }) => void failures.push(isPartial && tookMs >= 0),
  });
  dataPath.machine.refused = "everything";
  source.set(topologyOf({ web: 2 }), { begun: [{ service: "default/web", family: 4, at: new Date() }] });
  await vi.waitFor(() => expect(failures).toEqual([true]));
  expect(outcomes).toEqual([[0, false]]);
  dataPath.machine.refused = [];
  await vi.waitFor(() => expect(outcomes).toHaveLength(2), { timeout: 20_000 });
  expect(outcomes[1]).toEqual([1, false]);
});

test("what another program changed is mended, and told", async () => {
  const { agent, dataPath, served } = await started(topologyOf({ web: 1 }));
  expect(await agent.mend()).toEqual([]);
  dataPath.machine.entries.clear();
  expect(await agent.mend()).toMatchObject([{ kind: "missing" }]);
  expect(served()).toEqual(["web 1"]);
});

test("what is mended meanwhile keeps nothing that failed from being tried again", async () => {
  const { agent, dataPath, source, served } = await started(topologyOf({ web: 1 }));
  dataPath.machine.refused = "everything";
  source.set(topologyOf({ web: 2 }));
  await vi.waitFor(() => expect(agent.status().retryAt).toBeDefined());
  await agent.mend();
  expect(agent.status().retryAt).toBeDefined();
  dataPath.machine.refused = [];
  await vi.waitFor(() => expect(served()).toEqual(["web 2"]));
});

test("a source that says nothing for a minute is stale, and what it said stays", async () => {
  const source = new MemorySource();
  let heard = new Date();
  const { agent, served } = newAgent(Object.assign(source, { lastHeard: () => heard }));
  source.set(topologyOf({ web: 1 }));
  await agent.start();
  expect(agent.status().state).toBe("following");
  heard = new Date(Date.now() - 61_000);
  expect([agent.status().state, served()]).toEqual(["stale", ["web 1"]]);
  expect(agent.status().problems).toMatchObject([{ code: "SOURCE_STALE" }]);
});

interface TestOptions extends Partial<AgentOptions> {
  /** Called with the number of the apply; it waits for what is returned. */
  readonly beforeApply?: (count: number) => Promise<void> | undefined;
  /** The same, when the machine has it. */
  readonly afterApply?: (count: number) => Promise<void> | undefined;
  readonly onPlan?: () => void;
}

function newAgent(source: MemorySource, { beforeApply, afterApply, onPlan, ...options }: TestOptions = {}) {
  const dataPath = new MemoryDataPath();
  const applied: (ReadonlySet<string> | undefined)[] = [];
  const told: string[] = [];
  const lines: string[] = [];
  let sessions = 0;
  const open = dataPath.open.bind(dataPath);
  dataPath.open = async (signal): Promise<DataPathSession> => {
    const session = await open(signal);
    sessions++;
    return {
      status: () => session.status(),
      async apply(plan, given = {}) {
        const count = applied.push(given.changed) - 1;
        await beforeApply?.(count);
        const report = await session.apply(plan, given);
        await afterApply?.(count);
        return report;
      },
      async [Symbol.asyncDispose]() {
        sessions--;
        await session[Symbol.asyncDispose]();
      },
    };
  };
  const serviceManager: ServiceManager = {
    ready: async (status) => void told.push(`ready: ${status}`),
    status: async (status) => void told.push(status),
    stopping: async () => void told.push("stopping"),
    close: () => {},
  };
  const agent = new Agent({
    source,
    dataPath,
    plan: (topology, previous) => {
      onPlan?.();
      return planHost(topology, { host: "one", ...(previous === undefined ? {} : { previous }) });
    },
    logger: pino({ base: null }, { write: (line: string) => lines.push(line) }),
    serviceManager,
    patience: "none",
    ...options,
  });
  onTestFinished(() => agent.stop());
  return {
    ...{ agent, dataPath, applied, told },
    sessions: () => sessions,
    said: () => lines.join(""),
    /** `web 1`: the service and the last part of its endpoint's address. */
    served: () =>
      [...dataPath.machine.entries]
        .map(([name, text]) => `${/default\/(\w+)/.exec(name)?.[1]} ${/10\.0\.0\.(\d+)/.exec(text)?.[1]}`)
        .sort(),
  };
}

async function started(topology: Topology, options: TestOptions = {}) {
  const source = new MemorySource();
  source.set(topology);
  const parts = newAgent(source, options);
  await parts.agent.start();
  return { source, ...parts };
}

/** Services by name, each with the endpoint 10.0.0.N. */
/** @param services by name where the last byte of the endpoint's address; undefined: none */
function topologyOf(services: Readonly<Record<string, number | undefined>>): Topology {
  const listed = Object.entries(services).map(([name, last], index) => {
    const endpoints = last === undefined ? "" : `"10.0.0.${last}:80"`;
    return `  - { name: ${name}, clusterIP: 10.96.0.${index + 1}, ports: [{ port: 80 }], endpoints: [${endpoints}] }\n`;
  });
  const text = `hosts: [{ name: one, address: 192.0.2.1 }]\nservices:\n${listed.join("")}`;
  return parseTopology(Buffer.from(text), { file: "memory" }).topology;
}
