import { expect, test } from "vitest";
import { readSocket } from "./packet-page.tsx";
import { linkTo, type Route, readRoute } from "./route.ts";

test.for<{ route: Route }>([
  { route: { kind: "services", search: "a b&c#", namespace: "team", state: "failed" } },
  { route: { kind: "service", id: "shop/web" } },
  { route: { kind: "service", id: 'a/"<b>', host: "h1" } },
  { route: { kind: "packet", packet: {} } },
  { route: { kind: "packet", packet: { host: "h1", from: "fd00::1", to: "fd00::2", port: 80, protocol: "udp" } } },
])("a link restores $route.kind", ({ route }) => {
  expect(readRoute(linkTo(route))).toEqual(route);
});

test.for([
  { hash: "", kind: "services" },
  { hash: "#/nothing?x=1", kind: "services" },
  { hash: "#/packet?port=-3&from=%", kind: "packet" },
])("whatever stands behind the # is taken: $hash", ({ hash, kind }) => {
  expect(readRoute(hash).kind).toBe(kind);
});

test.for([
  { text: "10.0.0.1:80", found: { address: "10.0.0.1", port: 80 } },
  { text: "[fd00::1]:80", found: { address: "fd00::1", port: 80 } },
  { text: "fd00::1", found: { address: "fd00::1" } },
  { text: "10.0.0.1", found: { address: "10.0.0.1" } },
])("$text is read as an address, with its port where it has one", ({ text, found }) => {
  expect(readSocket(text)).toEqual(found);
});
