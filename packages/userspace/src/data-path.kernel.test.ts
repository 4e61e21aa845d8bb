import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DataPathHost, describeDataPath } from "@svcproxy/host/testing";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import type { IpAddress } from "@svcproxy/topology";
import { RemoteDataPath } from "./testing/remote-data-path.ts";

const skip = whyNoKernelTests(["ip", "unshare", "nsenter", "ss", "prlimit", "python3"]);

describeDataPath("userspace", createHost, { skip, walks: 2 });

async function createHost(): Promise<DataPathHost> {
  const namespace = await createNetworkNamespace();
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-contract-"));
  const ip = (...args: readonly string[]) => namespace.run("ip", args);
  for (const address of ["192.168.1.6/32", "fd00:1::6/128"]) await ip("address", "add", address, "dev", "lo", "nodad");
  const dataPath = await RemoteDataPath.start({ pid: namespace.pid, folder });
  const foreign: ChildProcess[] = [];
  const holders: ChildProcess[] = [];
  let refused: readonly IpAddress[] = [];
  const hold = async (address: string, port: number) => {
    await ip("address", "add", `${address}/32`, "dev", "lo");
    const args = [`--net=/proc/${namespace.pid}/ns/net`, "python3", "-c", HOLDER, address, String(port)];
    const holder = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    return holder;
  };
  const openFiles = (limit: string) => namespace.run("prlimit", ["--pid", String(dataPath.pid), `--nofile=${limit}`]);
  return {
    dataPath,
    async dump() {
      const addresses = await ip("-oneline", "address", "show");
      const listeners = await namespace.run("ss", ["-Hlntu"]);
      const lines = [
        ...addresses.stdout.split("\n").map((line) => line.replace(/^\d+: /, "").replace(/\\.*/, "")),
        ...listeners.stdout.split("\n").map((line) => line.split(/\s+/).slice(0, 5).join(" ")),
      ];
      return lines
        .filter((line) => line.trim() !== "")
        .sort()
        .join("\n");
    },
    async addForeign() {
      foreign.push(await hold("10.9.9.9", 80));
    },
    async damage() {
      await ip("address", "del", "10.100.0.1/32", "dev", "svcproxy0");
    },
    async wipe() {
      await ip("link", "delete", "svcproxy0");
    },
    async refuse(what) {
      await openFiles(what === "everything" ? "5:" : "1024:");
      for (const address of refused) await ip("address", "del", `${address}/32`, "dev", "lo");
      for (const holder of holders.splice(0)) {
        holder.kill("SIGKILL");
        await once(holder, "exit");
      }
      refused = what === "everything" ? [] : what;
      for (const address of refused) holders.push(await hold(address, 53));
    },
    async [Symbol.asyncDispose]() {
      await dataPath[Symbol.asyncDispose]();
      for (const holder of [...holders, ...foreign]) holder.kill("SIGKILL");
      await namespace[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** Another program that has a port of an address, by TCP and UDP. */
const HOLDER = `
import socket, sys, time
address, port = sys.argv[1], int(sys.argv[2])
tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
tcp.bind((address, port)); tcp.listen()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((address, port))
print("holds", flush=True)
time.sleep(3600)`;
