/** What is followed of an API server. */
export interface Resource {
  readonly kind: "Service" | "EndpointSlice" | "Node" | "ServiceCIDR";
  /** As people call many of them. */
  readonly plural: string;
  readonly path: string;
  /** Selectors. */
  readonly query: Readonly<Record<string, string>>;
  /** Whether a server that does not have it, or does not show it, is as good as one that has none. */
  readonly isOptional: boolean;
}

/** What kube-proxy follows, with its selectors: all that services hang on, and of the nodes this one alone. */
export function resourcesOf(node: string): readonly [Resource, Resource, Resource, Resource] {
  return [
    {
      kind: "Service",
      plural: "services",
      path: "/api/v1/services",
      query: { labelSelector: "!service.kubernetes.io/service-proxy-name", fieldSelector: "spec.clusterIP!=None" },
      isOptional: false,
    },
    {
      kind: "EndpointSlice",
      plural: "endpointslices",
      path: "/apis/discovery.k8s.io/v1/endpointslices",
      query: { labelSelector: "!service.kubernetes.io/headless" },
      isOptional: false,
    },
    {
      kind: "Node",
      plural: "nodes",
      path: "/api/v1/nodes",
      query: { fieldSelector: `metadata.name=${node}` },
      isOptional: false,
    },
    {
      kind: "ServiceCIDR",
      plural: "servicecidrs",
      path: "/apis/networking.k8s.io/v1/servicecidrs",
      query: {},
      isOptional: true,
    },
  ];
}

/** The same of all nodes, without selectors: what is left to other proxies, too, is looked at by those who look once. */
export const WHOLE_RESOURCES: readonly Resource[] = resourcesOf("").map((resource) => ({ ...resource, query: {} }));
