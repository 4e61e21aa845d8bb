import { DEFAULT_PROXY_OPTIONS } from "@svcproxy/userspace";
import { Command } from "commander";
import { expect, test } from "vitest";
import { parseDuration } from "../command-line/parse-duration.ts";
import {
  acceptUserspaceFlags,
  COUNT_FLAGS,
  DURATION_FLAGS,
  parseCount,
  type UserspaceFlags,
} from "./userspace-flags.ts";
import { metricsAddressOf, proxyOptionsOf, vipDeviceOf, vipRangesOf } from "./userspace-settings.ts";

test.for(DURATION_FLAGS)("--$flag is $preset by default, as its help says", ({ option, preset }) => {
  expect(parseDuration(preset)).toBe(DEFAULT_PROXY_OPTIONS[option]);
});

test.for(COUNT_FLAGS)("--$flag is $preset by default, as its help says", ({ option, preset }) => {
  expect(parseCount(preset)).toBe(DEFAULT_PROXY_OPTIONS[option]);
});

test("without flags, the options are the defaults", () => {
  expect(proxyOptionsOf(parse())).toEqual(DEFAULT_PROXY_OPTIONS);
});

test.for([
  { line: "--connect-timeout 250ms", option: "connectTimeoutMs", value: 250 },
  { line: "--idle-timeout 0", option: "idleTimeoutMs", value: 0 },
  { line: "--half-closed-timeout 5", option: "halfClosedTimeoutMs", value: 5_000 },
  { line: "--stalled-write-timeout 5", option: "stalledWriteTimeoutMs", value: 5_000 },
  { line: "--drain-timeout 1m", option: "drainTimeoutMs", value: 60_000 },
  { line: "--health-interval 2s", option: "healthIntervalMs", value: 2_000 },
  { line: "--udp-timeout 5s", option: "udpIdleTimeoutMs", value: 5_000 },
  { line: "--udp-one-way-timeout 1s", option: "udpOneWayTimeoutMs", value: 1_000 },
  { line: "--max-connections 7", option: "maxConnections", value: 7 },
  { line: "--max-per-client 7", option: "maxPerClient", value: 7 },
  { line: "--max-udp-sessions 7", option: "maxUdpSessions", value: 7 },
  { line: "--udp-buffer 65536", option: "udpBufferBytes", value: 65_536 },
  { line: "--backlog 7", option: "backlog", value: 7 },
  { line: "--on-remove reset", option: "onRemove", value: "reset" },
  { line: "--workers 3", option: "workers", value: 3 },
  { line: "--vip-device lo", option: "vipDevices", value: ["svcproxy0", "lo"] },
])("$line sets $option, and nothing else", ({ line, option, value }) => {
  expect(proxyOptionsOf(parse(...line.split(" ")))).toEqual({ ...DEFAULT_PROXY_OPTIONS, [option]: value });
});

test.for([
  "--connect-timeout 0",
  "--udp-timeout 0",
  "--udp-one-way-timeout 0s",
  "--max-udp-sessions 0",
  "--backlog 0",
  "--backlog 65536",
  "--udp-buffer 1073741824",
  "--udp-buffer 99999999999",
])("%s is refused: nothing could be served with it", (line) => {
  expect(() => parse(...line.split(" "))).toThrow(expect.objectContaining({ code: "commander.invalidArgument" }));
});

test("--workers auto is as many as there are cores", () => {
  expect(proxyOptionsOf(parse("--workers", "auto")).workers).toBeGreaterThanOrEqual(1);
});

test.for([
  { text: "127.0.0.1:9464", address: "127.0.0.1", port: 9464 },
  { text: "[::1]:9464", address: "::1", port: 9464 },
  { text: "localhost:9464", address: "127.0.0.1", port: 9464 },
  { text: ":9464", address: "::", port: 9464 },
  { text: "0.0.0.0:0", address: "0.0.0.0", port: 0 },
])("--metrics $text", ({ text, address, port }) => {
  expect(metricsAddressOf(parse("--metrics", text))).toEqual({ address, port });
});

test.for(["9464", "127.0.0.1", "example.org:9464", "127.0.0.1:70000", "::1:9464"])(
  "--metrics %s is not an address",
  (text) => {
    expect(() => metricsAddressOf(parse("--metrics", text))).toThrow(
      expect.objectContaining({ code: "METRICS_ADDRESS" }),
    );
  },
);

test("--vip-range may be given more than once, host bits cleared", () => {
  const flags = parse("--vip-range", "10.96.1.1/16", "--vip-range", "fd00::/64");
  expect(vipRangesOf(flags)).toEqual([
    { address: "10.96.0.0", prefixLength: 16 },
    { address: "fd00::", prefixLength: 64 },
  ]);
});

test("--vip-device none puts VIPs nowhere", () => {
  expect(vipDeviceOf(parse("--vip-device", "none"))).toBeUndefined();
  expect(vipDeviceOf(parse())).toBe("svcproxy0");
});

test("the topology is never taken for the value of --access-log", () => {
  const command = acceptUserspaceFlags(new Command());
  command.parse(["--access-log", "web.yaml"], { from: "user" });
  expect(command.args).toEqual(["web.yaml"]);
});

function parse(...args: readonly string[]): UserspaceFlags {
  return acceptUserspaceFlags(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .parse([...args], { from: "user" })
    .opts<UserspaceFlags>();
}
