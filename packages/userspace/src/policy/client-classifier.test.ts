import { parseCidr } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { ip } from "../testing/loopback-plan.ts";
import { ClientClassifier } from "./client-classifier.ts";

function cidrs(...texts: readonly string[]) {
  return texts.flatMap((text) => parseCidr(text) ?? []);
}

describe("clients", () => {
  const classifier = new ClientClassifier({
    hostAddresses: ["192.168.1.6", "10.5.75.1", "fd00::6", "10.96.0.10", "10.97.0.1"].map(ip),
    ownAddresses: ["192.168.1.6", "10.5.75.1", "fd00::6"].map(ip),
    podCidrs: cidrs("10.5.75.0/24", "fd00:5::/64"),
  });

  test.for([
    { client: "10.5.75.2", kind: "pod" },
    { client: "10.5.75.1", kind: "host" },
    { client: "192.168.1.6", kind: "host" },
    { client: "127.0.0.1", kind: "host" },
    { client: "::1", kind: "host" },
    { client: "10.5.88.2", kind: "outside" },
    { client: "192.168.1.7", kind: "outside" },
    { client: "fd00:5::2", kind: "pod" },
    { client: "fd00::6", kind: "host" },
    { client: "fd00:6::2", kind: "outside" },
  ])("$client is $kind", ({ client, kind }) => {
    expect(classifier.kindOf(ip(client))).toBe(kind);
    expect(classifier.kindOf(ip(client))).toBe(kind); // and from memory
  });

  test.for([
    { name: "no ranges let everybody in", client: "203.0.113.1", ranges: [], allowed: true },
    { name: "a range lets its own in", client: "203.0.113.1", ranges: ["203.0.113.0/24"], allowed: true },
    { name: "and nobody else", client: "203.0.114.1", ranges: ["203.0.113.0/24"], allowed: false },
    {
      name: "the host that dials its own VIP counts as the host",
      client: "10.96.0.10",
      ranges: ["192.168.1.0/24"],
      allowed: true,
    },
    { name: "where the ranges have the host at all", client: "10.96.0.10", ranges: ["203.0.113.0/24"], allowed: false },
    { name: "which a range that has the VIP does not", client: "10.96.0.10", ranges: ["10.96.0.0/16"], allowed: false },
    { name: "nor one that has another VIP", client: "10.96.0.10", ranges: ["10.97.0.0/16"], allowed: false },
  ])("$name", ({ client, ranges, allowed }) => {
    const rules = { ranges: cidrs(...ranges), vip: ip("10.96.0.10") };
    expect(classifier.isAllowed(ip(client), rules)).toBe(allowed);
  });
});
