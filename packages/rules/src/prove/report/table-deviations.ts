import type { HostPlan } from "@svcproxy/topology";
import type { HostRules } from "../../hooks/host-rules.ts";
import type { Deviation } from "./deviation.ts";

/** Who keeps a table of services in nftables. */
export type ServiceTable = "kube-proxy" | "svcproxy";

/** The service proxy whose table of nftables is among the rules; undefined where there is none. */
export function serviceTableOf({ family, nft }: HostRules): ServiceTable | undefined {
  const own = nft.tables.filter((table) => table.family === (family === 4 ? "ip" : "ip6"));
  return (["svcproxy", "kube-proxy"] as const).find((name) => own.some((table) => table.name === name));
}

/** What a table of nftables does otherwise than the plan, by design. */
export function tableDeviations(table: ServiceTable, { node }: Pick<HostPlan, "node">): readonly Deviation[] {
  const found: Deviation[] = [
    { kind: "clusterip-port-refused", text: "A port of a ClusterIP that no service has is refused" },
  ];
  if (table === "kube-proxy" || (node.serviceCIDRs ?? []).length > 0)
    found.push({
      kind: "unassigned-clusterip-dropped",
      text: "An address of the service range that no service has is dropped",
    });
  if (table === "svcproxy") return found;
  return [
    ...found,
    {
      kind: "clusterip-marked-on-every-port",
      text: "What no pod sends to a ClusterIP is masqueraded whatever its port, where it is not refused before",
    },
    {
      kind: "hairpin-of-own-pods-only",
      text: "A pod of another host that comes here and reaches itself keeps its address: its own host serves it",
    },
  ];
}
