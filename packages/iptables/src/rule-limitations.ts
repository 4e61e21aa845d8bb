import { type HostPlan, visible } from "@svcproxy/topology";

/** What rules cannot do of this plan; a sentence each, worth saying once. */
export function ruleLimitations({ healthChecks, ports }: HostPlan): readonly string[] {
  const limitations: string[] = [];
  if (healthChecks.length > 0) {
    const asked = healthChecks.map(({ service, port }) => `${port} (${service.namespace}/${service.name})`);
    limitations.push(
      `Rules let health checks in but answer none: unless another program does, load balancers get no answer on port ${asked.join(", ")}`,
    );
  }
  const headed = new Set(
    ports
      .filter(({ service }) => service.proxyProtocol !== undefined)
      .map(({ service }) => `${service.namespace}/${service.name}`),
  );
  if (headed.size > 0) {
    limitations.push(`Rules send no PROXY protocol header, svcproxy userspace does: ${[...headed].join(", ")}`);
  }
  return limitations.map(visible); // services have the names that the file gives them
}
