import { largeClusterIP } from "@svcproxy/host/testing";

const HOSTS = 20;

/** A topology file, as JSON, in which every service has endpoints of its own. */
export function largeTopologyText(
  { services, endpoints }: { readonly services: number; readonly endpoints: number },
  /** By which the endpoints of the last service are another's. */
  shift = 0,
): string {
  const each = Math.ceil((services * endpoints + 1) / HOSTS);
  const hosts = Array.from({ length: HOSTS }, (_, host) => ({
    name: `node${host}`,
    address: `192.168.${host}.1`,
    podCIDR: `10.${host}.0.0/16`,
    pods: Array.from({ length: each }, (_, pod) => ({
      name: `p${host * each + pod}`,
      address: `10.${host}.${(pod + 2) >> 8}.${(pod + 2) & 255}:8080`,
    })),
  }));
  return JSON.stringify({
    hosts,
    services: Array.from({ length: services }, (_, service) => ({
      name: `svc-${service}`,
      clusterIP: largeClusterIP(service),
      ports: [{ port: 80 }],
      endpoints: Array.from(
        { length: endpoints },
        (_, index) => `p${service * endpoints + index + (service === services - 1 ? shift : 0)}`,
      ),
    })),
  });
}
