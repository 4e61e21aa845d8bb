import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** An object as a manifest has it. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly clusterIP?: string };
}

/** The resources that kube-proxy asks for, by their path. */
const RESOURCES: Readonly<Record<string, { readonly kind: string; readonly apiVersion: string }>> = {
  "/api/v1/nodes": { kind: "Node", apiVersion: "v1" },
  "/api/v1/services": { kind: "Service", apiVersion: "v1" },
  "/apis/discovery.k8s.io/v1/endpointslices": { kind: "EndpointSlice", apiVersion: "discovery.k8s.io/v1" },
  "/apis/networking.k8s.io/v1/servicecidrs": { kind: "ServiceCIDR", apiVersion: "networking.k8s.io/v1" },
};

/** All objects have it: nothing ever changes. */
const RESOURCE_VERSION = "1";

/**
 * An API server of which kube-proxy asks as much as it needs, and that knows nothing else: lists and watches of objects that never
 * change, as JSON (kube-proxy asks for protobuf unless its configuration says `contentType: application/json`). Events that it reports
 * are taken and forgotten.
 */
export function createApiServer(objects: readonly ApiObject[]) {
  return createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const resource = RESOURCES[url.pathname];
    if (request.method === "POST") takeEvent(request, response);
    else if (resource === undefined) notFound(response);
    else if (url.searchParams.get("watch") === "true")
      watch(response, select(objects, resource, url), { resource, url });
    else list(response, select(objects, resource, url), resource);
  });
}

type Resource = (typeof RESOURCES)[string];

/** The selectors that kube-proxy has: a name, the lack of a label, and ClusterIPs that are not `None`. */
function select(objects: readonly ApiObject[], { kind }: Resource, { searchParams }: URL): readonly ApiObject[] {
  const name = /^metadata\.name=(.+)$/.exec(searchParams.get("fieldSelector") ?? "")?.[1];
  const isWithoutHeadless = searchParams.get("fieldSelector") === "spec.clusterIP!=None";
  const missing = (searchParams.get("labelSelector") ?? "")
    .split(",")
    .flatMap((term) => /^!(.+)$/.exec(term)?.[1] ?? []);
  return objects.filter(
    ({ kind: own, metadata, spec }) =>
      own === kind &&
      (name === undefined || metadata.name === name) &&
      !(isWithoutHeadless && spec?.clusterIP === "None") &&
      missing.every((label) => metadata.labels?.[label] === undefined),
  );
}

function asServed({ apiVersion, kind }: Resource, object: ApiObject) {
  const { metadata } = object;
  const uid = `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
  return { ...object, apiVersion, kind, metadata: { ...metadata, uid, resourceVersion: RESOURCE_VERSION } };
}

function list(response: ServerResponse, items: readonly ApiObject[], resource: Resource): void {
  const metadata = { resourceVersion: RESOURCE_VERSION };
  const listed = items.map((item) => asServed(resource, item));
  json(response, { kind: `${resource.kind}List`, apiVersion: resource.apiVersion, metadata, items: listed });
}

function watch(
  response: ServerResponse,
  items: readonly ApiObject[],
  { resource, url }: { readonly resource: Resource; readonly url: URL },
): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  if (url.searchParams.get("sendInitialEvents") !== "true") return;
  for (const item of items) send(response, "ADDED", asServed(resource, item));
  const { kind, apiVersion } = resource;
  const annotations = { "k8s.io/initial-events-end": "true" };
  send(response, "BOOKMARK", { kind, apiVersion, metadata: { resourceVersion: RESOURCE_VERSION, annotations } });
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
