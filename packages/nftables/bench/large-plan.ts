export const LARGE_HOST = "node0";

/** A topology file, as JSON, in which every service has endpoints of its own. */
export function largeTopologyText(
  { services, endpoints }: { readonly services: number; readonly endpoints: number },
  /** By which the endpoints of the last service are another's. */
  shift = 0,
): string {
  const pods = Array.from({ length: services * endpoints + 1 }, (_, pod) => ({
    name: `p${pod}`,
    address: `10.${pod >> 16}.${(pod >> 8) & 255}.${pod & 255}:8080`,
  }));
  return JSON.stringify({
    hosts: [{ name: LARGE_HOST, address: "192.168.0.1", podCIDR: "10.0.0.0/8", pods }],
    services: Array.from({ length: services }, (_, service) => ({
      name: `svc-${service}`,
      clusterIP: `172.${16 + ((service + 1) >> 16)}.${((service + 1) >> 8) & 255}.${(service + 1) & 255}`,
      ports: [{ port: 80 }],
      endpoints: Array.from(
        { length: endpoints },
        (_, index) => `p${service * endpoints + index + (service === services - 1 ? shift : 0)}`,
      ),
    })),
  });
}
