import { type Family, type IpAddress, parseIpAddress } from "@svcproxy/topology";
import type { FlowClient, FlowEndpoint, FlowFrontend } from "./flow-table.ts";

type Place = FlowClient | FlowEndpoint | FlowFrontend;

/** What golden/features gives each place, IPv4 and IPv6; `outside` is in the source ranges of web, `stranger` is not. */
const ADDRESSES: Readonly<Record<string, readonly [string, string]>> = {
  host: ["192.0.2.10", "2001:db8:1::10"],
  pod: ["10.20.0.4", "fd20::4"],
  outside: ["192.0.2.77", "2001:db8:1::77"],
  stranger: ["198.51.100.50", "2001:db8:aa::50"],
  "web-1": ["10.20.0.2", "fd20::2"],
  "dns-1": ["10.20.0.3", "fd20::3"],
  "web-2": ["10.20.1.2", "fd20:0:0:1::2"],
  "web-3": ["10.20.1.4", "fd20:0:0:1::4"],
  "sig-1": ["10.20.1.3", "fd20:0:0:1::3"],
  abroad: ["198.51.100.7", "2001:db8:aa::7"],
  "web clusterIP": ["10.96.0.80", "fd96::80"],
  "web externalIP": ["198.51.100.80", "2001:db8:ee::80"],
  "web loadBalancerIP": ["203.0.113.80", "2001:db8:ff::80"],
  "local clusterIP": ["10.96.0.81", "fd96::81"],
  "local loadBalancerIP": ["203.0.113.81", "2001:db8:ff::81"],
  "away clusterIP": ["10.96.0.82", "fd96::82"],
  "away externalIP": ["198.51.100.82", "2001:db8:ee::82"],
  "dns clusterIP": ["10.96.0.53", "fd96::53"],
  "signal clusterIP": ["10.96.0.90", "fd96::90"],
  "nobody clusterIP": ["10.96.0.99", "fd96::99"],
  "nobody externalIP": ["198.51.100.99", "2001:db8:ee::99"],
  "abroad clusterIP": ["10.96.0.100", "fd96::100"],
};

export function flowAddress(place: Place, family: Family): IpAddress {
  const address = parseIpAddress(ADDRESSES[place]?.[family === 4 ? 0 : 1] ?? "");
  if (address === undefined) throw new TypeError(`${place} has no IPv${family} address`);
  return address;
}
