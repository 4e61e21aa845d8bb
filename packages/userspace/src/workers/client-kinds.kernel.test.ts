import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { parseCidr } from "@svcproxy/topology";
import { describe, expect, onTestFinished, test } from "vitest";
import { endpointOf } from "../testing/loopback-plan.ts";

const PROGRAM = fileURLToPath(new URL("../testing/instance-program.ts", import.meta.url));
const VIP = "10.96.0.10";
const SERVERS = [
  { name: "pod", port: 8001 },
  { name: "host", port: 8002 },
  { name: "outside", port: 8003 },
] as const;

const reason = whyNoKernelTests(["ip", "unshare", "nsenter"]);

/** A host (192.168.9.1) with a VIP on svcproxy0, and a neighbour that is a client outside (192.168.9.2) and a pod (10.5.75.2). */
async function startHosts(): Promise<{ host: NetworkNamespace; neighbour: NetworkNamespace }> {
  const host = await createNetworkNamespace();
  const neighbour = await createNetworkNamespace();
  onTestFinished(async () => {
    await host[Symbol.asyncDispose]();
    await neighbour[Symbol.asyncDispose]();
  });
  const ip = (namespace: NetworkNamespace, line: string) => namespace.run("ip", line.split(" "));
  await ip(host, `link add veth0 type veth peer name veth1 netns ${neighbour.pid}`);
  await ip(host, "address add 192.168.9.1/24 dev veth0");
  await ip(host, "link set veth0 up");
  await ip(host, "link add svcproxy0 type bridge");
  await ip(host, `address add ${VIP}/32 dev svcproxy0`);
  await ip(host, "link set svcproxy0 up");
  await ip(neighbour, "address add 192.168.9.2/24 dev veth1");
  await ip(neighbour, "address add 10.5.75.2/32 dev veth1");
  await ip(neighbour, "link set veth1 up");
  await ip(neighbour, `route add ${VIP}/32 via 192.168.9.1`);
  await ip(host, "route add 10.5.75.0/24 via 192.168.9.2");
  return { host, neighbour };
}

async function startProxyIn({ pid }: NetworkNamespace, settings: object): Promise<ChildProcess> {
  const child = spawn("nsenter", [`--net=/proc/${pid}/ns/net`, process.execPath, PROGRAM, JSON.stringify(settings)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  await once(child, "message");
  return child;
}

/** What a server says to a client with this source address, or the error's code. */
async function dial(from: NetworkNamespace, { to, source }: { to: string; source?: string }): Promise<string> {
  const [host, port] = to.split(":");
  const script = `
    const socket = require("node:net").connect({ ...JSON.parse(process.argv[1]), timeout: 5000 });
    socket.on("timeout", () => socket.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" })));
    socket.on("error", (error) => process.stdout.write(error.code));
    socket.pipe(process.stdout);`;
  const options = { host, port: Number(port), ...(source === undefined ? {} : { localAddress: source }) };
  return (await from.run(process.execPath, ["-e", script, JSON.stringify(options)])).stdout;
}

async function somePlace(): Promise<{ runtimeDirectory: string }> {
  const runtimeDirectory = await mkdtemp(join(tmpdir(), "svcproxy-test-"));
  onTestFinished(() => rm(runtimeDirectory, { recursive: true }));
  return { runtimeDirectory };
}

function forwardTo(port: number) {
  return { kind: "forward", endpoints: [endpointOf(["127.0.0.1", port])], masquerade: "external" } as const;
}

describe.skipIf(reason !== undefined)(`clients of a real host${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.for([1, 2])("get what the plan has for their kind; workers: %i", async (workers) => {
    const { host, neighbour } = await startHosts();
    const [pod, local, outside] = SERVERS.map(({ port }) => forwardTo(port));
    await startProxyIn(host, {
      place: await somePlace(),
      servers: SERVERS,
      workers,
      services: [{ vip: VIP, port: 80, endpoints: [["127.0.0.1", 1]], clients: { pod, host: local, outside } }],
      podDetector: { kind: "source", cidrs: [parseCidr("10.5.75.0/24")] },
    });
    expect(await dial(neighbour, { to: `${VIP}:80`, source: "10.5.75.2" })).toBe("pod");
    expect(await dial(neighbour, { to: `${VIP}:80`, source: "192.168.9.2" })).toBe("outside");
    expect(await dial(host, { to: `${VIP}:80` })).toBe("host");
    expect(await dial(host, { to: `${VIP}:80`, source: "192.168.9.1" })).toBe("host");
  });

  test("are not kept waiting by an endpoint that says nothing", async () => {
    const { host, neighbour } = await startHosts();
    // Nobody has this address: the kernel asks for it for three seconds.
    const endpoints = [
      ["192.168.9.77", 8003],
      ["127.0.0.1", 8003],
    ] as const;
    await startProxyIn(host, {
      place: await somePlace(),
      servers: SERVERS,
      workers: 1,
      services: [{ vip: VIP, port: 80, endpoints }],
    });
    const answers = await Promise.all(Array.from({ length: 10 }, () => dial(neighbour, { to: `${VIP}:80` })));
    expect(new Set(answers)).toEqual(new Set(["outside"]));
  });
});
