/** A Service with an EndpointSlice for each family that it has addresses of. */
export interface TestService {
  readonly name: string;
  readonly spec?: object;
  readonly metadata?: object;
  readonly ports?: readonly {
    readonly name: string;
    readonly port: number;
    readonly target: number;
    readonly protocol?: string;
  }[];
  /** Addresses; `conditions` hold for all. */
  readonly endpoints?: readonly string[];
  readonly conditions?: object;
  /** Further labels of the slices. */
  readonly labels?: Readonly<Record<string, string>>;
  /** By address. */
  readonly hints?: Readonly<Record<string, object>>;
}

const HTTP = [{ name: "http", port: 80, target: 3000 }];

export function objectsOf({
  name,
  spec = {},
  metadata = {},
  ports = HTTP,
  endpoints = [],
  conditions,
  labels = {},
  hints,
}: TestService) {
  const service = {
    ...{ apiVersion: "v1", kind: "Service" },
    metadata: { name, namespace: "default", ...metadata },
    spec: {
      ports: ports.map(({ name: portName, port, protocol = "TCP" }) => ({ name: portName, port, protocol })),
      ...spec,
    },
  };
  const slices = [4, 6].flatMap((family) => {
    const addresses = endpoints.filter((address) => address.includes(":") === (family === 6));
    if (addresses.length === 0) return [];
    return [
      {
        ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: `IPv${family}` },
        metadata: {
          name: `${name}-${family}`,
          namespace: "default",
          labels: { "kubernetes.io/service-name": name, ...labels },
        },
        ports: ports.map(({ name: portName, target, protocol = "TCP" }) => ({
          name: portName,
          port: target,
          protocol,
        })),
        endpoints: addresses.map((address) => ({
          ...{ addresses: [address], nodeName: "node1", conditions: conditions ?? { ready: true } },
          ...(hints?.[address] === undefined ? {} : { hints: hints[address] }),
        })),
      },
    ];
  });
  return [service, ...slices];
}
