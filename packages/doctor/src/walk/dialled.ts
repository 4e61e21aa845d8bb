import { serviceName } from "@svcproxy/host";
import type { Frontend, IpAddress, ServicePortPlan } from "@svcproxy/topology";
import type { Sufferer } from "../cause.ts";
import type { Client } from "./clients.ts";

/** A connection to a service, from one kind of client. */
export interface Dialled {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
  readonly client: Client;
  readonly to: IpAddress;
}

/** @param share of its new connections */
export function suffererOf({ port, client }: Dialled, share: number): Sufferer {
  return { service: serviceName(port), client: client.place, share };
}
