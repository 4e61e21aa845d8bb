/** Who keeps rules in tables and chains of these names, or with these words in them. */
const OWNERS: readonly (readonly [RegExp, string])[] = [
  [/DOCKER/, "Docker"],
  [/firewalld|_(public|zones|policy)\b|^(FWDO|FWDI|IN)_/, "firewalld"],
  [/ufw/, "ufw"],
  [/KUBE-(NWPLCY|POD-FW|ROUTER)/, "kube-router's network policies"],
  [/^cali-|calico/, "Calico"],
  [/CILIUM|cilium/, "Cilium"],
  [/WEAVE/, "Weave Net"],
  [/LIBVIRT|libvirt/, "libvirt"],
  [/^f2b-|fail2ban/, "fail2ban"],
  [/netavark|NETAVARK|CNI-/, "podman or a CNI plug-in"],
  [/FLANNEL/, "flannel"],
  [/KUBE-FIREWALL|KUBE-KUBELET/, "the kubelet"],
  [/KUBE-|kube-proxy/, "kube-proxy"],
  [/svcproxy/, "svcproxy"],
];

/** The program that probably put a rule there; undefined where its names tell nothing. */
export function ownerOfRule({
  table,
  chain,
  text = "",
}: {
  readonly table: string;
  readonly chain: string;
  readonly text?: string;
}): string | undefined {
  return OWNERS.find(([pattern]) => pattern.test(table) || pattern.test(chain) || pattern.test(text))?.[1];
}
