import { expect, test } from "vitest";
import { hashName } from "./hash-name.ts";

// The worked values of kube-proxy's own tests.
test.for([
  ["ns1/svc1:p80tcp", "XPGD46QRK7WJZT7O"],
  ["ns1/svc1tcp", "AQI2S6QIMU7PVVRP"],
  ["ns1/svc1:p80sctp", "GFCIFIA5VTFSTMSM"],
  ["ns2/svc2:p80tcp", "GNZBNJ2PO5MGZ6GT"],
  ["ns2/svc2:p8080tcp", "2VJB64SDSIJUP5T6"],
  ["ns4/svc4:p8082tcp", "EBDQOQU5SJFXRIL3"],
  ["ns1/svc1:p80tcp10.180.0.1:80", "SXIVWICOYRO3J4NJ"],
  ["ns1/svc1tcp10.0.1.1:80", "3JOIVZTXZZRGORX4"],
  ["ns1/svc1:p80sctp10.180.0.1:80", "RFW33Y6OHVBQ4W3M"],
  ["ns1/svc1:p80tcp[ff06::c1]:80", "LIGRYQQLSZN4UWQ5"],
  ["ns3/svc3:p8081tcp203.0.113.4:8081", "RUVVH7YV3PHQBDOS"],
] as const)("%s hashes to %s", ([text, name]) => {
  expect(hashName(text, 16)).toBe(name);
});
