import { describe, expect, test } from "vitest";
import { ip, portOf } from "../testing/loopback-plan.ts";
import { proxyHeader } from "./proxy-header.ts";

const V4 = {
  from: { address: ip("203.0.113.9"), port: portOf(51_234) },
  to: { address: ip("10.100.100.1"), port: portOf(7_070) },
};
const V6 = {
  from: { address: ip("2001:db8::9"), port: portOf(51_234) },
  to: { address: ip("fd00::1"), port: portOf(7_070) },
};
const SIGNATURE = "0d0a0d0a000d0a515549540a";

describe("the PROXY header", () => {
  test.for([
    { name: "v1 over IPv4", connection: V4, text: "PROXY TCP4 203.0.113.9 10.100.100.1 51234 7070\r\n" },
    { name: "v1 over IPv6", connection: V6, text: "PROXY TCP6 2001:db8::9 fd00::1 51234 7070\r\n" },
  ])("$name", ({ connection, text }) => {
    expect(Buffer.from(proxyHeader("v1", connection)).toString("latin1")).toBe(text);
  });

  test.for([
    { name: "v2 over IPv4", connection: V4, hex: "2111000c" + "cb007109" + "0a646401" + "c822" + "1b9e" },
    {
      name: "v2 over IPv6",
      connection: V6,
      hex: "21210024" + "20010db8000000000000000000000009" + "fd000000000000000000000000000001" + "c822" + "1b9e",
    },
  ])("$name", ({ connection, hex }) => {
    expect(Buffer.from(proxyHeader("v2", connection)).toString("hex")).toBe(SIGNATURE + hex);
  });
});
