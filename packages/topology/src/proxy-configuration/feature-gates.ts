import type { Field } from "../kubernetes/field.ts";
import { isMapping } from "../text/source-document.ts";

/**
 * The gates that kube-proxy 1.37 looks at. `asIs`: what svcproxy does is what kube-proxy does with this value; the other one has no effect.
 * Absent: neither has.
 */
export const FEATURE_GATES: ReadonlyMap<string, { readonly asIs?: boolean; readonly why: string }> = new Map([
  ["AllowServiceExternalIPs", { asIs: false, why: "external IPs are served where --allow-external-ips allows them" }],
  ["ComponentFlagz", { why: "there is no /flagz" }],
  ["ComponentStatusz", { asIs: true, why: "/statusz is always there" }],
  ["KubeProxyIPVS", { why: "there is no IPVS data path here" }],
  [
    "KubeProxyNFTablesLocalhostNodePorts",
    { why: "NodePorts on 127.0.0.0/8 are served where iptables.localhostNodePorts says so, by rules" },
  ],
  ["MultiCIDRServiceAllocator", { asIs: true, why: "ServiceCIDRs are always followed" }],
  ["NFTablesNetlink", { why: "rules are written by the host's own nft" }],
  ["NativeHistograms", { why: "metrics are histograms with fixed buckets" }],
  ["PreferSameTrafficDistribution", { asIs: true, why: "hints for nodes are always heeded" }],
  ["WinDSR", { why: "it is about Windows" }],
  ["WinOverlay", { why: "it is about Windows" }],
]);

/** Each gate that is set. Faults are left to who warns of them. */
export function readGates({ value }: Field): ReadonlyMap<string, boolean> {
  if (!isMapping(value)) return new Map();
  return new Map(Object.entries(value).flatMap(([gate, set]) => (typeof set === "boolean" ? [[gate, set]] : [])));
}

/** Names each gate that is set in vain. */
export function warnOfGates(field: Field): void {
  const { value } = field;
  if (!isMapping(value)) {
    field.texts();
    return;
  }
  for (const gate of Object.keys(value)) {
    const set = field.get(gate).flag();
    if (set === undefined) continue;
    const known = FEATURE_GATES.get(gate);
    if (known === undefined)
      field.get(gate).warning("NO_EFFECT", "kube-proxy looks at no such gate, and neither does svcproxy");
    else if (known.asIs !== set) field.get(gate).warning("NO_EFFECT", `it has no effect here: ${known.why}`);
  }
}
