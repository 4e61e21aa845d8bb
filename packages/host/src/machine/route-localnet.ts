/** The sysctl by which the kernel lets a packet from 127.0.0.0/8 out to an endpoint. Never without a guard that keeps others off. */
export const ROUTE_LOCALNET = "net.ipv4.conf.all.route_localnet";
