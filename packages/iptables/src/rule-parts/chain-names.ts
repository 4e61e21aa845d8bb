// Names that Kubernetes made familiar; the document uses the same.
export const SERVICES = "KUBE-SERVICES";
export const NODE_PORTS = "KUBE-NODEPORTS";
export const POSTROUTING = "KUBE-POSTROUTING";
export const MARK_MASQ = "KUBE-MARK-MASQ";
export const EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES";
export const PROXY_FIREWALL = "KUBE-PROXY-FIREWALL";
export const FORWARD = "KUBE-FORWARD";
export const FIREWALL = "KUBE-FIREWALL";

// Ours: what the trees of dispatch and of choice are made of.
export const VIP_PREFIX = "KUBE-VIP-";
export const NODE_PORT_PREFIX = "KUBE-NP-";
export const EXTERNAL_PREFIX = "KUBE-XVIP-";
export const FIREWALL_PREFIX = "KUBE-FVIP-";
export const EXTERNAL_NODE_PORT_PREFIX = "KUBE-XNP-";
