import { VIP_DEVICE } from "@svcproxy/host";
import type { ProxyOptions } from "@svcproxy/userspace";
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../command-line/parse-duration.ts";
import { acceptTopology, type TopologyFlags } from "../source/topology-input.ts";
import { FOREIGN_HOST } from "./iptables-flags.ts";

/** Names the running instance, for every command that asks for it. */
export interface InstanceFlags {
  readonly runtimeDir?: string;
}

/** The flags of `svcproxy userspace` as commander hands them over: durations in milliseconds, what was not given absent. */
export interface UserspaceFlags extends TopologyFlags, InstanceFlags {
  readonly host?: string;
  readonly foreignHost?: true;
  readonly watch?: true;
  readonly takeOver?: true;
  readonly vipDevice: string;
  readonly vipRange?: readonly string[];
  readonly vipIsolation?: boolean;
  readonly requireAll?: true;
  readonly metrics?: string;
  readonly accessLog?: true;
  readonly printUnit?: true;
  readonly workers?: number | "auto";
  readonly onRemove?: ProxyOptions["onRemove"];
  readonly connectTimeout?: number;
  readonly idleTimeout?: number;
  readonly halfClosedTimeout?: number;
  readonly stalledWriteTimeout?: number;
  readonly drainTimeout?: number;
  readonly healthInterval?: number;
  readonly udpTimeout?: number;
  readonly udpOneWayTimeout?: number;
  readonly maxConnections?: number;
  readonly maxPerClient?: number;
  readonly maxUdpSessions?: number;
  readonly udpBuffer?: number;
  readonly backlog?: number;
}

export function acceptInstance(command: Command): Command {
  return command.option(
    "--runtime-dir <dir>",
    "where the running instance's socket is (default: /run/svcproxy/userspace for root, else $XDG_RUNTIME_DIR/svcproxy/userspace)",
  );
}

export function acceptUserspaceFlags(command: Command): Command {
  acceptTopology(command)
    .option("--host <name>", "this host's name in the topology (default: the one that owns an address of it)")
    .option("--foreign-host", FOREIGN_HOST)
    .option("--watch", "follow the topology: serve each change of it")
    .option("--take-over", "get the listeners of the running instance, which then drains and ends")
    .option(
      "--vip-device <name>",
      `where VIPs are put: ${VIP_DEVICE} is made, another has to be there; none: nowhere`,
      VIP_DEVICE,
    )
    .option("--vip-range <cidr>", "make a whole range local by one route (repeatable)", collect)
    .option(
      "--vip-isolation",
      "end where VIPs cannot be kept apart from this host's programs (default: go on, and name them)",
    )
    .option("--no-vip-isolation", "let VIPs lead to whatever listens on all addresses of this host")
    .option("--require-all", "end where a frontend cannot be served")
    .option("--metrics <address:port>", "serve /metrics, /healthz, /readyz and /status there")
    .option("--access-log", "log a line for each connection")
    .option("--print-unit", "print a systemd unit that runs this command line");
  for (const { flag, about, preset, least } of DURATION_FLAGS) {
    const parse = (text: string) => within(parseDuration(text), { least, unit: " ms" });
    command.addOption(new Option(`--${flag} <time>`, `${about} (default: ${preset})`).argParser(parse));
  }
  for (const { flag, about, preset, least, most } of COUNT_FLAGS) {
    const parse = (text: string) => within(parseCount(text), { least, most });
    command.addOption(new Option(`--${flag} <n>`, `${about} (default: ${preset})`).argParser(parse));
  }
  return acceptInstance(command)
    .addOption(
      new Option(
        "--on-remove <how>",
        "what happens to the connections of an endpoint that is removed (default: drain)",
      ).choices(["drain", "reset"]),
    )
    .addOption(
      new Option("--workers <n>", "processes that carry connections, or auto (default: 1)").argParser(parseWorkers),
    );
}

interface ValueFlag {
  readonly flag: string;
  readonly about: string;
  /** As one would give it. */
  readonly preset: string;
  readonly option: keyof ProxyOptions;
  /** The smallest value that means something; 0 where it is left out. */
  readonly least?: number;
  /** The largest that the kernel takes. */
  readonly most?: number;
}

/** The kernel reads the size of a buffer as a 32-bit integer, and doubles it. */
const LARGEST_BUFFER_BYTES = 2 ** 30 - 1;

/** `net.core.somaxconn` cuts it further. */
const LONGEST_BACKLOG = 65_535;

/** Durations: 500ms, 30s, 15m, 1h; a bare number is seconds. */
export const DURATION_FLAGS: readonly ValueFlag[] = [
  {
    flag: "connect-timeout",
    option: "connectTimeoutMs",
    about: "how long one dial of an endpoint may take",
    preset: "1s",
    least: 1,
  },
  {
    flag: "idle-timeout",
    option: "idleTimeoutMs",
    about: "end a connection without a byte for so long; 0: never",
    preset: "15m",
  },
  {
    flag: "half-closed-timeout",
    option: "halfClosedTimeoutMs",
    about: "the same once one side has ended; 0: as --idle-timeout",
    preset: "2m",
  },
  {
    flag: "stalled-write-timeout",
    option: "stalledWriteTimeoutMs",
    about: "end a connection whose reader takes nothing for so long; 0: as --idle-timeout",
    preset: "2m",
  },
  {
    flag: "drain-timeout",
    option: "drainTimeoutMs",
    about: "how long connections may go on after a removal or at the end; given: after a take-over, too",
    preset: "30s",
  },
  {
    flag: "health-interval",
    option: "healthIntervalMs",
    about: "dial each endpoint this often to see whether it is there; 0: never",
    preset: "0",
  },
  {
    flag: "udp-timeout",
    option: "udpIdleTimeoutMs",
    about: "end a UDP session without a datagram for so long",
    preset: "30s",
    least: 1,
  },
  {
    flag: "udp-one-way-timeout",
    option: "udpOneWayTimeoutMs",
    about: "the same where the endpoint has never answered",
    preset: "10s",
    least: 1,
  },
];

export const COUNT_FLAGS: readonly ValueFlag[] = [
  {
    flag: "max-connections",
    option: "maxConnections",
    about: "TCP connections at a time; 0: as many as open files allow",
    preset: "0",
  },
  {
    flag: "max-per-client",
    option: "maxPerClient",
    about: "TCP connections at a time from one address; 0: no limit",
    preset: "0",
  },
  { flag: "max-udp-sessions", option: "maxUdpSessions", about: "UDP sessions at a time", preset: "16384", least: 1 },
  {
    flag: "udp-buffer",
    option: "udpBufferBytes",
    about: "bytes of buffer asked for each UDP socket",
    preset: "4194304",
    most: LARGEST_BUFFER_BYTES,
  },
  {
    flag: "backlog",
    option: "backlog",
    about: "connections that may wait to be accepted",
    preset: "4096",
    least: 1,
    most: LONGEST_BACKLOG,
  },
];

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** @throws InvalidArgumentError where the text is not a whole number */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count)) throw new InvalidArgumentError("Give a whole number.");
  return count;
}

function within(
  value: number,
  {
    least = 0,
    most = Number.MAX_SAFE_INTEGER,
    unit = "",
  }: { least?: number | undefined; most?: number | undefined; unit?: string },
): number {
  if (value < least) throw new InvalidArgumentError(`The least is ${least}${unit}.`);
  if (value > most) throw new InvalidArgumentError(`The most is ${most}${unit}.`);
  return value;
}

/** More would only take memory. */
const MOST_WORKERS = 256;

function parseWorkers(text: string): number | "auto" {
  if (text === "auto") return text;
  const count = parseCount(text);
  if (count < 1 || count > MOST_WORKERS)
    throw new InvalidArgumentError(`Give auto, or a number from 1 to ${MOST_WORKERS}.`);
  return count;
}
