import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** An object as a manifest has it. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly clusterIP?: string; readonly [key: string]: unknown };
}

/** The resources that kube-proxy asks for, by their path. */
const RESOURCES: Readonly<Record<string, { readonly kind: string; readonly apiVersion: string }>> = {
  "/api/v1/nodes": { kind: "Node", apiVersion: "v1" },
  "/api/v1/services": { kind: "Service", apiVersion: "v1" },
  "/apis/discovery.k8s.io/v1/endpointslices": { kind: "EndpointSlice", apiVersion: "discovery.k8s.io/v1" },
  "/apis/networking.k8s.io/v1/servicecidrs": { kind: "ServiceCIDR", apiVersion: "networking.k8s.io/v1" },
};

/** Of what there is at the start; each change has the next. */
const FIRST_VERSION = 1;

/** The server, and the way to change what it has. */
export interface SmallApiServer {
  readonly server: Server;
  /** An object of this kind and name is another one from now on, and who watches is told. */
  put(object: ApiObject): void;
}

/**
 * An API server of which kube-proxy asks as much as it needs, and that knows nothing else: lists and watches of objects, as JSON
 * (kube-proxy asks for protobuf unless its configuration says `contentType: application/json`). Events that it reports are taken and
 * forgotten.
 */
export function createApiServer(objects: readonly ApiObject[]): SmallApiServer {
  const all = new Map(objects.map((object) => [keyOf(object), { object, version: FIRST_VERSION }]));
  let version = FIRST_VERSION;
  const watchers = new Map<ServerResponse, { readonly resource: Resource; readonly url: URL }>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const resource = RESOURCES[url.pathname];
    if (request.method === "POST") takeEvent(request, response);
    else if (resource === undefined) notFound(response);
    else {
      const selected = [...all.values()].filter(({ object }) => isSelected(object, { resource, url }));
      const state = { objects: selected, version };
      if (url.searchParams.get("watch") !== "true") list(response, state, resource);
      else {
        watch(response, state, { resource, url });
        watchers.set(response, { resource, url });
        response.once("close", () => watchers.delete(response));
      }
    }
  });
  return {
    server,
    put(object) {
      version += 1;
      const type = all.has(keyOf(object)) ? "MODIFIED" : "ADDED";
      all.set(keyOf(object), { object, version });
      for (const [response, asked] of watchers) {
        if (isSelected(object, asked)) send(response, type, asServed(asked.resource, { object, version }));
      }
    },
  };
}

function keyOf({ kind, metadata: { namespace = "", name } }: ApiObject): string {
  return `${kind} ${namespace}/${name}`;
}

interface Stored {
  readonly object: ApiObject;
  readonly version: number;
}

interface State {
  readonly objects: readonly Stored[];
  readonly version: number;
}

type Resource = (typeof RESOURCES)[string];

/** The selectors that kube-proxy has: a name, the lack of a label, and ClusterIPs that are not `None`. */
function isSelected(
  { kind: own, metadata, spec }: ApiObject,
  { resource: { kind }, url: { searchParams } }: { readonly resource: Resource; readonly url: URL },
): boolean {
  const name = /^metadata\.name=(.+)$/.exec(searchParams.get("fieldSelector") ?? "")?.[1];
  const isWithoutHeadless = searchParams.get("fieldSelector") === "spec.clusterIP!=None";
  const missing = (searchParams.get("labelSelector") ?? "")
    .split(",")
    .flatMap((term) => /^!(.+)$/.exec(term)?.[1] ?? []);
  return (
    own === kind &&
    (name === undefined || metadata.name === name) &&
    !(isWithoutHeadless && spec?.clusterIP === "None") &&
    missing.every((label) => metadata.labels?.[label] === undefined)
  );
}

function asServed({ apiVersion, kind }: Resource, { object, version }: Stored) {
  const { metadata } = object;
  const uid = `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
  return { ...object, apiVersion, kind, metadata: { ...metadata, uid, resourceVersion: String(version) } };
}

function list(response: ServerResponse, { objects, version }: State, resource: Resource): void {
  const metadata = { resourceVersion: String(version) };
  const listed = objects.map((stored) => asServed(resource, stored));
  json(response, { kind: `${resource.kind}List`, apiVersion: resource.apiVersion, metadata, items: listed });
}

function watch(
  response: ServerResponse,
  { objects, version }: State,
  { resource, url }: { readonly resource: Resource; readonly url: URL },
): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  if (url.searchParams.get("sendInitialEvents") !== "true") return;
  for (const stored of objects) send(response, "ADDED", asServed(resource, stored));
  const { kind, apiVersion } = resource;
  const annotations = { "k8s.io/initial-events-end": "true" };
  send(response, "BOOKMARK", { kind, apiVersion, metadata: { resourceVersion: String(version), annotations } });
}

function send(response: ServerResponse, type: string, object: unknown): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

function takeEvent(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    response.writeHead(201, { "content-type": "application/json" });
    response.end(Buffer.concat(chunks));
  });
}

function notFound(response: ServerResponse): void {
  json(response, { kind: "Status", apiVersion: "v1", status: "Failure", reason: "NotFound", code: 404 }, 404);
}

function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
