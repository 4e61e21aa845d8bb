import type { PagePacket } from "../model.ts";

/** What is looked at; it stands behind the `#` of the address, so that a link restores it. */
export type Route =
  | { readonly kind: "services"; readonly search: string; readonly namespace: string; readonly state: string }
  | { readonly kind: "service"; readonly id: string; readonly host?: string }
  | { readonly kind: "packet"; readonly packet: Partial<PagePacket> };

/** @param hash with or without `#`; whatever is not understood shows the services */
export function readRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const fields = new URLSearchParams(query);
  const field = (name: string) => fields.get(name) ?? "";
  switch (path) {
    case "service": {
      const host = field("host");
      return { kind: "service", id: field("id"), ...(host === "" ? {} : { host }) };
    }
    case "packet":
      return { kind: "packet", packet: readPacket(fields) };
    default:
      return { kind: "services", search: field("search"), namespace: field("namespace"), state: field("state") };
  }
}

function readPacket(fields: URLSearchParams): Partial<PagePacket> {
  const texts = (["host", "from", "to", "protocol"] as const).flatMap((name) => {
    const value = fields.get(name);
    return value === null || value === "" ? [] : [[name, value] as const];
  });
  const port = Number(fields.get("port") ?? Number.NaN);
  return { ...Object.fromEntries(texts), ...(Number.isInteger(port) && port > 0 ? { port } : {}) };
}

/** The address of a route, to be put into `href`. */
export function linkTo(route: Route): string {
  switch (route.kind) {
    case "services":
      return withFields("#/", { search: route.search, namespace: route.namespace, state: route.state });
    case "service":
      return withFields("#/service", { id: route.id, host: route.host });
    case "packet":
      return withFields("#/packet", { ...route.packet, port: route.packet.port?.toString() });
  }
}

function withFields(path: string, fields: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, value] as [string, string]],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}
