import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { hasTool } from "@svcproxy/host";
import type { NetworkNamespace } from "@svcproxy/lab";

/** The binary that KUBE_PROXY names, else the one that PATH leads to. */
const KUBE_PROXY = process.env["KUBE_PROXY"] ?? (hasTool("kube-proxy") ? "kube-proxy" : undefined);

/** Why no real kube-proxy is run; undefined where one is. */
export function whyNoKubeProxy(): string | undefined {
  return KUBE_PROXY === undefined ? "there is no kube-proxy: KUBE_PROXY names one" : undefined;
}

/** The node's addresses, and a bridge as a CNI makes it. */
const SET_UP = `
ip link set lo up
ip link add eth0 type veth peer name far
ip addr add 192.168.77.1/24 dev eth0 && ip addr add fd00:77::1/64 dev eth0 nodad
ip link set eth0 up && ip link set far up
ip route add default via 192.168.77.254 && ip -6 route add default via fd00:77::fe
ip link add cni0 type bridge
ip addr add 10.244.1.1/24 dev cni0 && ip addr add fd00:10:244:1::1/64 dev cni0 nodad && ip link set cni0 up
`;

/** What a real kube-proxy wrote. */
export interface WrittenRules {
  /** What iptables-save and ip6tables-save print, one after the other. */
  readonly saved: string;
  /** What `nft list ruleset` prints. */
  readonly listing: string;
}

/**
 * Runs a real kube-proxy in a namespace until its rules stay the same, against an API server that has the objects of a file.
 *
 * @param options.configuration its KubeProxyConfiguration, as text
 */
export async function runKubeProxy(
  namespace: NetworkNamespace,
  { objects, configuration }: { readonly objects: string; readonly configuration: string },
): Promise<WrittenRules> {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-kube-proxy-"));
  const started: ChildProcess[] = [];
  try {
    const ready = await namespace.run("sh", ["-e", "-c", SET_UP]);
    if (ready.stderr !== "") throw new Error(ready.stderr);
    await writeFile(join(folder, "kubeconfig"), KUBECONFIG);
    await writeFile(join(folder, "config.yaml"), configuration + settings(folder));
    const program = resolve(import.meta.dirname, "api-server-program.ts");
    started.push(startInside(namespace, [process.execPath, program, objects]));
    // It takes a lock in /run and writes to no other place of the machine.
    const command = 'mount -t tmpfs none /run && exec "$@"';
    const proxy = [KUBE_PROXY ?? "", "--config", join(folder, "config.yaml")];
    started.push(startInside(namespace, ["unshare", "--mount", "sh", "-c", command, "sh", ...proxy]));
    return await untilSteady(namespace, started);
  } finally {
    for (const child of started) await stop(child);
    await rm(folder, { recursive: true });
  }
}

const KUBECONFIG = `apiVersion: v1
kind: Config
clusters: [{ name: test, cluster: { server: "http://127.0.0.1:8080" } }]
contexts: [{ name: test, context: { cluster: test, user: test } }]
users: [{ name: test, user: {} }]
current-context: test
`;

/** kube-proxy raises limits of the machine unless it is told not to. */
function settings(folder: string): string {
  return `clientConnection: { kubeconfig: ${join(folder, "kubeconfig")}, contentType: application/json, acceptContentTypes: application/json }
conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
`;
}

function startInside(namespace: NetworkNamespace, command: readonly string[]): ChildProcess {
  return spawn("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, ...command], {
    stdio: ["ignore", "ignore", process.env["KUBE_PROXY_LOG"] === undefined ? "ignore" : "inherit"],
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** It writes both families within a second; the second listing that says the same is the last. */
const POLL_MS = 700;
const MAX_POLLS = 120;

async function untilSteady(namespace: NetworkNamespace, started: readonly ChildProcess[]): Promise<WrittenRules> {
  let last = "";
  for (let poll = 0; poll < MAX_POLLS; poll++) {
    const rules = await readRules(namespace);
    const text = rules.saved + rules.listing;
    const families = [...text.matchAll(/^table ip6? kube-proxy|^:KUBE-SERVICES /gm)].length;
    if (families >= 2 && text === last) return rules;
    if (started.some(({ exitCode }) => exitCode !== null)) throw new Error("kube-proxy or its API server has ended");
    last = text;
    await setTimeout(POLL_MS);
  }
  throw new Error(`kube-proxy wrote no rules within ${(MAX_POLLS * POLL_MS) / 1000} s: ${last.slice(0, 500)}`);
}

async function readRules(namespace: NetworkNamespace): Promise<WrittenRules> {
  const saves = [await namespace.run("iptables-save", []), await namespace.run("ip6tables-save", [])];
  const { stdout: listing } = await namespace.run("nft", ["list", "ruleset"]);
  const saved = saves.map(({ stdout }) => stdout).join("");
  return {
    saved: saved.replaceAll(/^# (Generated by \S+ \S+ \S+).*$/gm, "# $1").replaceAll(/^# Completed.*\n/gm, ""),
    listing: listing
      .replaceAll(/^\s*comment ".*"\n/gm, "")
      .replaceAll(/ comment "[^"]*"/g, "")
      .replaceAll(/\n\n/g, "\n"),
  };
}
