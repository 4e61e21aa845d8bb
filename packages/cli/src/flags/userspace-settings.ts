import { availableParallelism } from "node:os";
import type { UserspaceAgentOptions } from "@svcproxy/agent";
import { type Cidr, inputError, parseCidr, parseIpAddress } from "@svcproxy/topology";
import { DEFAULT_PROXY_OPTIONS, type ProxyOptions } from "@svcproxy/userspace";
import type { UserspaceFlags } from "./userspace-flags.ts";

/** The flags as the proxy's own options. @throws InputError for what is not a range or an address */
export function proxyOptionsOf(flags: UserspaceFlags): ProxyOptions {
  const preset = DEFAULT_PROXY_OPTIONS;
  return {
    connectTimeoutMs: flags.connectTimeout ?? preset.connectTimeoutMs,
    idleTimeoutMs: flags.idleTimeout ?? preset.idleTimeoutMs,
    halfClosedTimeoutMs: flags.halfClosedTimeout ?? preset.halfClosedTimeoutMs,
    stalledWriteTimeoutMs: flags.stalledWriteTimeout ?? preset.stalledWriteTimeoutMs,
    onRemove: flags.onRemove ?? preset.onRemove,
    drainTimeoutMs: flags.drainTimeout ?? preset.drainTimeoutMs,
    maxConnections: flags.maxConnections ?? preset.maxConnections,
    maxPerClient: flags.maxPerClient ?? preset.maxPerClient,
    healthIntervalMs: flags.healthInterval ?? preset.healthIntervalMs,
    udpIdleTimeoutMs: flags.udpTimeout ?? preset.udpIdleTimeoutMs,
    udpOneWayTimeoutMs: flags.udpOneWayTimeout ?? preset.udpOneWayTimeoutMs,
    maxUdpSessions: flags.maxUdpSessions ?? preset.maxUdpSessions,
    udpBufferBytes: flags.udpBuffer ?? preset.udpBufferBytes,
    workers: flags.workers === "auto" ? availableParallelism() : (flags.workers ?? preset.workers),
    backlog: flags.backlog ?? preset.backlog,
    vipDevices:
      vipDeviceOf(flags) === undefined ? preset.vipDevices : [...new Set([...preset.vipDevices, flags.vipDevice])],
  };
}

/** Undefined for `none`. @throws InputError where no device can have that name */
export function vipDeviceOf({ vipDevice }: UserspaceFlags): string | undefined {
  if (vipDevice === "none") return undefined;
  if (!/^[^\s/:]{1,15}$/.test(vipDevice)) {
    throw inputError("VIP_DEVICE", `Cannot put VIPs on ${JSON.stringify(vipDevice)}: no device can have that name`);
  }
  return vipDevice;
}

export function vipIsolationOf({ vipIsolation }: UserspaceFlags): UserspaceAgentOptions["settings"]["vipIsolation"] {
  if (vipIsolation === undefined) return "auto";
  return vipIsolation ? "required" : "off";
}

/** @throws InputError for what is not a range */
export function vipRangesOf({ vipRange = [] }: UserspaceFlags): readonly Cidr[] {
  return vipRange.map((text) => {
    const range = parseCidr(text);
    if (range !== undefined) return range;
    throw inputError("VIP_RANGE", `Cannot read --vip-range ${JSON.stringify(text)}: it is not a block of addresses`, {
      hint: "Give a block such as 10.100.0.0/16 or fd00:100::/64",
    });
  });
}

/** `127.0.0.1:9464`, `[::1]:9464`; `:9464` is every address. @throws InputError */
export function metricsAddressOf({ metrics }: Pick<UserspaceFlags, "metrics">): UserspaceAgentOptions["metrics"] {
  if (metrics === undefined) return undefined;
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(metrics);
  const port = Number(parts?.[3]);
  const host = parts?.[1] ?? parts?.[2] ?? "";
  const address = host === "" ? "::" : host === "localhost" ? "127.0.0.1" : parseIpAddress(host);
  if (parts === null || address === undefined || port > 65_535) {
    throw inputError(
      "METRICS_ADDRESS",
      `Cannot listen on ${JSON.stringify(metrics)}: it is not an address and a port`,
      {
        hint: "Give an address and a port such as 127.0.0.1:9464 or [::1]:9464; port 0 is any free one",
      },
    );
  }
  return { address, port };
}
