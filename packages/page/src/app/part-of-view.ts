import type { Family } from "@svcproxy/topology";
import type { FrontendView, HandlingView, ServiceView } from "../model.ts";

/** What of a service is drawn at once: one port in one family, so that no lines cross that have nothing to do with each other. */
export interface ViewPart {
  readonly portName: string;
  readonly family: Family;
}

/** All that there are, ports in their order. */
export function partsOf({ frontends }: ServiceView): {
  readonly portNames: readonly string[];
  readonly families: readonly Family[];
} {
  return {
    portNames: [...new Set(frontends.map(({ portName }) => portName))],
    families: [...new Set(frontends.map(familyOfEnd))].sort(),
  };
}

/** A view of that part alone; its handlings point into its own endpoints. */
export function partOfView(view: ServiceView, { portName, family }: ViewPart): ServiceView {
  const kept = [...view.endpoints.entries()].filter(
    ([, endpoint]) => familyOfEnd(endpoint) === family && endpoint.portNames.includes(portName),
  );
  const places = new Map(kept.map(([place], index) => [place, index]));
  const handle = (handling: HandlingView): HandlingView =>
    handling.kind === "forward"
      ? { ...handling, endpoints: handling.endpoints.flatMap((place) => places.get(place) ?? []) }
      : handling;
  const narrow = (frontend: FrontendView): FrontendView => {
    const { pod, host, outside } = frontend.clients;
    return { ...frontend, clients: { pod: handle(pod), host: handle(host), outside: handle(outside) } };
  };
  return {
    ...view,
    frontends: view.frontends
      .filter((frontend) => frontend.portName === portName && familyOfEnd(frontend) === family)
      .map(narrow),
    endpoints: kept.map(([, endpoint]) => endpoint),
  };
}

function familyOfEnd({ address }: { readonly address: string }): Family {
  return address.includes(":") ? 6 : 4;
}
