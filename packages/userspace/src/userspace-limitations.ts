import { type HostPlan, listNames, type Problem } from "@svcproxy/topology";

/** What a userspace proxy cannot do of this plan, whatever the machine. */
export function userspaceLimitations(plan: HostPlan): readonly Problem[] {
  if (plan.ports.length === 0) return [];
  return [...clientAddress(), ...sctp(plan), ...silence(plan), ...proxyProtocol(plan), ...podsBySubnet(plan)];
}

const LIMITATION = { severity: "warning", subject: "data path userspace" } as const;

function clientAddress(): readonly Problem[] {
  return [
    {
      ...{ ...LIMITATION, code: "CLIENT_ADDRESS_HIDDEN" },
      text: "Endpoints see this host's address instead of the client's",
      hint: "set `proxyProtocol` on services whose servers understand it",
    },
  ];
}

function sctp({ ports }: HostPlan): readonly Problem[] {
  const names = ports
    .filter(({ port }) => port.protocol === "sctp")
    .map(({ service, port }) => `${service.namespace}/${service.name} port ${port.port}`);
  if (names.length === 0) return [];
  const text = `SCTP is not served, because Node has no SCTP sockets: ${listNames(names)}`;
  return [{ ...LIMITATION, code: "SCTP_UNSERVED", text, hint: "Rules serve it: svcproxy iptables" }];
}

function silence({ ports }: HostPlan): readonly Problem[] {
  const isSilent = ports.some(({ frontends }) =>
    frontends.some(
      ({ clients, sourceRanges }) =>
        sourceRanges.length > 0 || Object.values(clients).some(({ kind }) => kind === "drop"),
    ),
  );
  if (!isSilent) return [];
  const text =
    "A TCP client that the rules would leave without an answer (source ranges, policy Local) is refused or reset";
  return [{ ...LIMITATION, code: "SILENCE_IS_REFUSAL", text }];
}

function proxyProtocol({ ports }: HostPlan): readonly Problem[] {
  const names = ports
    .filter(({ service, port }) => service.proxyProtocol !== undefined && port.protocol === "udp")
    .map(({ service }) => `${service.namespace}/${service.name}`);
  if (names.length === 0) return [];
  const text = `PROXY protocol headers are sent over TCP only: ${listNames(names)}`;
  return [{ ...LIMITATION, code: "PROXY_PROTOCOL_UNSENT", text }];
}

function podsBySubnet({ podDetector }: HostPlan): readonly Problem[] {
  if (podDetector.kind !== "bridge" && podDetector.kind !== "interfacePrefix") return [];
  const text =
    "Pods are told by the subnet of the interface, or by podCIDR where it has none, not by the interface that a packet came in by";
  return [{ ...LIMITATION, code: "PODS_TOLD_BY_SUBNET", text }];
}
