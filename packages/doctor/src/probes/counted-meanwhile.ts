import type { HostSnapshot } from "@svcproxy/host";

/** Counters of the kernel's network stack that grow when packets are lost. */
const LOSS_COUNTERS = [
  ...["IpInAddrErrors", "IpOutNoRoutes", "IpInDiscards", "IcmpOutDestUnreachs", "IcmpInDestUnreachs"],
  ...["TcpExtIPReversePathFilter", "TcpExtListenOverflows", "TcpExtTCPSynRetrans"],
];

/** What the kernel counted between two looks that tells of lost packets, a sentence each. */
export function countedMeanwhile(before: HostSnapshot, after: HostSnapshot): readonly string[] {
  const counters = LOSS_COUNTERS.flatMap((name) => {
    const grown = (after.counters[name] ?? 0) - (before.counters[name] ?? 0);
    return grown > 0 ? [`${name} +${grown}`] : [];
  });
  const links = after.links
    .filter(({ kind }) => kind === "vxlan")
    .flatMap((link) => {
      const old = before.links.find(({ name }) => name === link.name);
      const grown = (side: "sent" | "received", what: string) => (link[side][what] ?? 0) - (old?.[side][what] ?? 0);
      const [sent, received, dropped] = [
        grown("sent", "packets"),
        grown("received", "packets"),
        grown("sent", "dropped"),
      ];
      return sent + dropped > 0 ? [`${link.name} sent ${sent}, received ${received}, dropped ${dropped}`] : [];
    });
  const failed = ["insert_failed", "drop"].flatMap((name) => {
    const grown = (after.conntrack.statistics[name] ?? 0) - (before.conntrack.statistics[name] ?? 0);
    return grown > 0 ? [`${name} of connection tracking +${grown}`] : [];
  });
  return [...counters, ...failed, ...links];
}
