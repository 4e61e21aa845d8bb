import { readdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { ConntrackSettings, Problem } from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";

/** kube-proxy's. @see kubernetes pkg/proxy/apis/config/v1alpha1/defaults.go */
const DEFAULTS = { maxPerCore: 32_768, min: 131_072, tcpEstablishedSeconds: 86_400, tcpCloseWaitSeconds: 3600 };
/** On hosts with many cores more would only take memory. @see kubernetes pkg/proxy/conntrack/sysctls.go */
const MAX_CONNECTIONS = 1_048_576;
/** Connections that share a bucket of the kernel's table, on average. */
const PER_BUCKET = 4;
const HASH_SIZE = "/sys/module/nf_conntrack/parameters/hashsize";

/** What the limits of the kernel's connection tracking have become. */
export interface ConntrackLimits {
  /** Sysctls that were set, `name=value`. */
  readonly set: readonly string[];
  /** Those that could not be. */
  readonly problems: readonly Problem[];
}

/**
 * Gives the kernel's connection tracking the room that a node's proxy needs. All of it is only ever raised: what is large enough stays as somebody
 * set it. kube-proxy would shorten the kernel's 5 days of an established connection to one.
 */
export async function raiseConntrackLimits(machine: Machine, settings: ConntrackSettings): Promise<ConntrackLimits> {
  const wanted = { ...DEFAULTS, ...settings };
  const set: string[] = [];
  const problems: Problem[] = [];
  const write = async (name: string, value: number, isEnough: (now: number) => boolean) => {
    const key = `net.netfilter.${name}`;
    const now = await machine.readSysctl(key);
    if (now !== undefined && isEnough(Number(now))) return;
    if (now !== undefined && (await machine.writeSysctl(key, String(value)))) set.push(`${key}=${value}`);
    else problems.push(readOnly(key, { value, now }));
  };
  const max = await maxConnections(wanted);
  if (max > 0) {
    await write("nf_conntrack_max", max, (now) => now >= max);
    await raiseHashSize(Math.ceil(max / PER_BUCKET), { set, problems });
  }
  for (const [name, seconds] of [
    ["nf_conntrack_tcp_timeout_established", wanted.tcpEstablishedSeconds],
    ["nf_conntrack_tcp_timeout_close_wait", wanted.tcpCloseWaitSeconds],
    ["nf_conntrack_udp_timeout", wanted.udpSeconds ?? 0],
    ["nf_conntrack_udp_timeout_stream", wanted.udpStreamSeconds ?? 0],
  ] as const) {
    if (seconds > 0) await write(name, seconds, (now) => now >= seconds);
  }
  if (wanted.tcpBeLiberal) await write("nf_conntrack_tcp_be_liberal", 1, (now) => now === 1);
  return { set, problems };
}

async function maxConnections({
  maxPerCore,
  min,
}: {
  readonly maxPerCore: number;
  readonly min: number;
}): Promise<number> {
  return maxPerCore === 0 ? 0 : Math.min(MAX_CONNECTIONS, Math.max(min, maxPerCore * (await coreCount())));
}

/** Of the host, not of what this process may use: the limit is the host's. */
async function coreCount(): Promise<number> {
  const folders = await readdir("/sys/devices/system/cpu").catch(() => []);
  return folders.filter((name) => /^cpu\d+$/.test(name)).length || availableParallelism();
}

/** Network namespaces share it; only the first one's root may write it. */
async function raiseHashSize(
  buckets: number,
  { set, problems }: { readonly set: string[]; readonly problems: Problem[] },
): Promise<void> {
  const now = Number(await readFile(HASH_SIZE, "utf8").catch(() => Number.NaN));
  if (Number.isNaN(now) || now >= buckets) return;
  try {
    await writeFile(HASH_SIZE, String(buckets));
    set.push(`${HASH_SIZE}=${buckets}`);
  } catch {
    problems.push(readOnly(HASH_SIZE, { value: buckets, now: String(now) }));
  }
}

function readOnly(name: string, { value, now }: { readonly value: number; readonly now: string | undefined }): Problem {
  const reason = now === undefined ? "this kernel does not have it (yet)" : `it is read-only here, and is ${now}`;
  return {
    ...{ code: "SYSCTL_READ_ONLY", severity: "warning", subject: name },
    text: `${name} cannot be set to ${value}: ${reason}`,
    hint: "Set it on the host, or run svcproxy run kubernetes --init-only there as root before",
  };
}
