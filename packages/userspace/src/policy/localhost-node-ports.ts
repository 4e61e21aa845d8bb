import { type Machine, serviceName } from "@svcproxy/host";
import {
  type HostPlan,
  type IpAddress,
  parseIpAddress,
  type ServicePortPlan,
  servesNodePortsOnLocalhost,
} from "@svcproxy/topology";

const LOOPBACK = parseIpAddress("::1");

/**
 * The plan with NodePorts on ::1 as well, where they are on localhost and this machine has that address: `localhost` is both, and rules
 * can translate 127.0.0.0/8 only. A service without IPv6 is reached there at its IPv4 endpoints.
 */
export function withLocalhostIpv6(plan: HostPlan, machine: Pick<Machine, "readAddresses">): HostPlan {
  if (LOOPBACK === undefined || !servesNodePortsOnLocalhost(plan.node)) return plan;
  if (!machine.readAddresses().addresses.some(({ address }) => address === LOOPBACK)) return plan;
  const withIpv6 = new Set(plan.ports.filter(({ family }) => family === 6).map(portName));
  const isServed = plan.nodePortAddresses[6].everyHostAddress;
  const ports = plan.ports.map((planned) => {
    const isHere = planned.family === 6 ? isServed : !withIpv6.has(portName(planned));
    return isHere ? withAddress(planned, LOOPBACK) : planned;
  });
  return { ...plan, ports };
}

function portName(planned: ServicePortPlan): string {
  return `${serviceName(planned)} ${planned.portIndex}`;
}

function withAddress(planned: ServicePortPlan, address: IpAddress): ServicePortPlan {
  if (!planned.frontends.some(({ kind }) => kind === "nodePort")) return planned;
  const frontends = planned.frontends.map((frontend) =>
    frontend.kind === "nodePort" ? { ...frontend, addresses: [...frontend.addresses, address] } : frontend,
  );
  return { ...planned, frontends };
}
