import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { type MetricFamily, seconds, single } from "../../observe/metric-family.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";

type Family = MetricFamily<{ readonly status: HostAgentStatus }>;

/** What every program tells of itself under Prometheus' own names; nft, iptables and other helpers are not among it. */
export const PROCESS_METRICS: readonly Family[] = [
  {
    type: "gauge",
    name: "process_start_time_seconds",
    help: "When the agent was started.",
    samples: single(({ status: { startedAt } }) => seconds(startedAt)),
  },
  {
    type: "counter",
    name: "process_cpu_seconds_total",
    help: "CPU time of the agent, in the kernel included.",
    samples: single(() => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }),
  },
  {
    type: "gauge",
    name: "process_resident_memory_bytes",
    help: "Memory that the agent holds.",
    samples: single(() => process.memoryUsage.rss()),
  },
  {
    type: "gauge",
    name: "process_virtual_memory_bytes",
    help: "Addresses that the agent has reserved, most of them without memory behind.",
    samples: ofProc(() => {
      const [, kilobytes] = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
      return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
    }),
  },
  {
    type: "gauge",
    name: "process_open_fds",
    help: "Descriptors that the agent has open.",
    samples: ofProc(() => readdirSync("/proc/self/fd").length),
  },
  {
    type: "gauge",
    name: "process_max_fds",
    help: "Descriptors that the agent may have open.",
    samples: ofProc(() => {
      const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
      return soft === undefined ? undefined : soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
    }),
  },
];

/** No sample where /proc tells nothing. */
function ofProc(read: () => number | undefined): Family["samples"] {
  return () => {
    try {
      const value = read();
      return value === undefined ? [] : [{ labels: {}, value }];
    } catch {
      return [];
    }
  };
}
