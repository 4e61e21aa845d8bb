import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { parseIpAddress, parsePort } from "@svcproxy/topology";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { readKey } from "../client/etcd-store.ts";
import { ETCDS, RealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";
import { parseCheck } from "./parse-check.ts";
import { Registration, type RegistrationOptions } from "./registration.ts";

const reason = whyNoEtcd();
const KEY = "/svcproxy/endpoints/default/web/a";

describe.skipIf(reason !== undefined).for(ETCDS)(`with %s${reason === undefined ? "" : ` (${reason})`}`, (program) => {
  test.for(["tcp", "http:/healthz", "exec"])("by %s: in while it is well, out when it dies, in again", async (kind) => {
    const world = await started(program, { kind });
    world.register();
    await vi.waitFor(async () => expect(await world.value()).toEqual({ address: world.address }));
    await world.dies();
    await vi.waitFor(async () => expect(await world.value()).toBeUndefined());
    await world.lives();
    await vi.waitFor(async () => expect(await world.value()).toEqual({ address: world.address }));
  });

  test("an answer of 500 is unwell", async () => {
    const world = await started(program, { kind: "http:/healthz" });
    world.register();
    await vi.waitFor(async () => expect(await world.value()).toBeDefined());
    world.status.code = 500;
    await vi.waitFor(async () => expect(await world.value()).toBeUndefined());
  });

  test("told to end it is terminating first, and then gone", async () => {
    const world = await started(program, { kind: "tcp" });
    const { stop, ended } = world.register({ drainMs: 1_000 });
    await vi.waitFor(async () => expect(await world.value()).toBeDefined());
    stop();
    const terminating = { address: world.address, ready: false, serving: true, terminating: true };
    await vi.waitFor(async () => expect(await world.value()).toEqual(terminating));
    await ended;
    expect(await world.value()).toBeUndefined();
  });

  test("told twice, or when it was never in, it does not wait", async () => {
    const world = await started(program, { kind: "tcp" });
    const { stop, hurry, ended } = world.register({ drainMs: 600_000 });
    await vi.waitFor(async () => expect(await world.value()).toBeDefined());
    stop();
    hurry();
    await ended;
    expect(await world.value()).toBeUndefined();
    await world.dies();
    const other = world.register({ drainMs: 600_000 });
    other.stop();
    await other.ended;
  });

  test("the key is put back: after the lease lapsed, after a kill -9 of etcd, and in one that was wiped", async () => {
    const world = await started(program, { kind: "tcp" });
    world.register();
    const isIn = () => vi.waitFor(async () => expect(await world.value()).toBeDefined());
    await isIn();
    const { entry } = await readKey(world.client, KEY);
    await world.client.call("lease/revoke", { ID: entry?.lease }, { doing: "let it lapse" });
    expect(await world.value()).toBeUndefined();
    await isIn();
    await world.etcd.kill();
    await world.etcd.start();
    await isIn();
    await world.etcd.restore();
    await isIn();
  });

  test("whoever vanishes without a word goes when the lease lapses", async () => {
    const world = await started(program, { kind: "tcp" });
    const { abandon } = world.register();
    await vi.waitFor(async () => expect(await world.value()).toBeDefined());
    abandon();
    await vi.waitFor(async () => expect(await world.value()).toBeUndefined());
  });

  test("another that takes the same id wins, and the first says so", async () => {
    const world = await started(program, { kind: "tcp" });
    const first = world.register();
    await vi.waitFor(async () => expect(await world.value()).toBeDefined());
    world.register();
    await expect(first.ended).rejects.toMatchObject({ code: "REGISTERED_ELSEWHERE" });
    expect(await world.value()).toBeDefined();
  });
});

async function started(program: string, { kind }: { readonly kind: string }) {
  const etcd = await RealEtcd.start({ program });
  onTestFinished(() => etcd[Symbol.asyncDispose]());
  const client = etcd.client();
  onTestFinished(() => client.close());
  const status = { code: 200 };
  let server = await serve(0, status);
  const { port: number } = server.address() as AddressInfo;
  onTestFinished(() => void server.close());
  const [address, port] = [parseIpAddress("127.0.0.1"), parsePort(number)];
  if (address === undefined || port === undefined) throw new Error("there is no port");
  const check = kind === "exec" ? `exec:exec 3<>/dev/tcp/127.0.0.1/${number}` : kind;
  const options: RegistrationOptions = {
    ...{ client, key: KEY, name: "default/web as a", endpoint: { address: `127.0.0.1:${number}` } },
    check: parseCheck(kind === "exec" ? check.replace("exec:", "exec:bash -c '").concat("'") : check, {
      address,
      port,
    }),
    ...{ rise: 2, fall: 3, intervalMs: 100, drainMs: 0, ttlSeconds: 2, logger: pino({ level: "silent" }) },
  };
  return {
    ...{ etcd, client, status, address: `127.0.0.1:${number}` },
    value: async (): Promise<unknown> => {
      const { entry } = await readKey(client, KEY);
      return entry === undefined ? undefined : JSON.parse(entry.value.toString("utf8"));
    },
    register: (more: Partial<RegistrationOptions> = {}) => {
      const [stop, hurry] = [new AbortController(), new AbortController()];
      const own = etcd.client();
      let isAbandoned = false;
      const call = own.call.bind(own);
      own.call = (...args) => (isAbandoned ? untilAborted(args[2].signal) : call(...args));
      const running = new Registration({ ...options, client: own, ...more });
      const ended = running.run({ stop: stop.signal, hurry: hurry.signal });
      ended.catch(() => {});
      onTestFinished(async () => {
        isAbandoned = false;
        stop.abort();
        hurry.abort();
        await ended.catch(() => {});
        own.close();
      });
      return {
        ended,
        stop: () => stop.abort(),
        hurry: () => hurry.abort(),
        /** As one that is stopped, or cut off. */
        abandon: () => {
          isAbandoned = true;
        },
      };
    },
    dies: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
    lives: async () => {
      server = await serve(number, status);
    },
  };
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
}

async function serve(port: number, status: { readonly code: number }): Promise<Server> {
  const server = createServer((_, response) => {
    response.statusCode = status.code;
    response.end();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}
