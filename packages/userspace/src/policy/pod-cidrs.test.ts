import { formatCidr, type PodDetector, parseCidr } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { loopbackPlan } from "../testing/loopback-plan.ts";
import { podCidrs } from "./pod-cidrs.ts";

test.for<{ name: string; detector: PodDetector; pods: readonly string[] }>([
  { name: "nothing", detector: { kind: "none" }, pods: [] },
  { name: "the source", detector: { kind: "source", cidrs: [cidr("10.0.0.0/16")] }, pods: ["10.0.0.0/16"] },
  { name: "the bridge's subnet", detector: { kind: "bridge", interface: "cni0" }, pods: ["10.5.75.0/24"] },
  { name: "the interfaces' subnets", detector: { kind: "interfacePrefix", prefix: "veth" }, pods: ["10.6.0.0/24"] },
  { name: "podCIDR, without a subnet", detector: { kind: "interfacePrefix", prefix: "cali" }, pods: ["10.7.0.0/24"] },
])("pods are told by $name", ({ detector, pods }) => {
  const plan = loopbackPlan([], detector);
  const host = { ...plan.host, podCIDRs: [cidr("10.7.0.0/24")] };
  const interfaces = [
    { name: "cni0", cidr: cidr("10.5.75.0/24") },
    { name: "veth1", cidr: cidr("10.6.0.0/24") },
    { name: "cali1", cidr: cidr("10.8.0.1/32") },
    { name: "eth0", cidr: cidr("192.168.1.0/24") },
  ];
  expect(podCidrs({ ...plan, host }, interfaces).map(formatCidr)).toEqual(pods);
});

function cidr(text: string) {
  const block = parseCidr(text);
  if (block === undefined) throw new TypeError(text);
  return block;
}
