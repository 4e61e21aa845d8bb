import { type Place, type PlaceStatus, type ServedCount, vxlanDevices } from "@svcproxy/lab";
import { formatSocketAddress, type Topology, visible } from "@svcproxy/topology";
import { renderTable } from "../command-line/text-table.ts";

export interface LabReport {
  readonly name: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly overlay: string;
  readonly dataPath: string;
  readonly places: readonly PlaceStatus[];
}

export function renderLabStatus({ name, pid, startedAt, overlay, dataPath, places }: LabReport): string {
  const detail = places.flatMap((place) => {
    if (place.routes.length === 0 && place.listeners.length === 0) return [];
    return [
      `${place.kind} ${visible(place.name)}`,
      ...place.routes.map((route) => `  route     ${visible(route)}`),
      ...place.listeners.map((listener) => `  listener  ${visible(listener)}`),
    ];
  });
  return [
    `lab ${name}: pid ${pid}, since ${startedAt}, overlay ${overlay}, data path ${dataPath}`,
    "",
    renderPlaces(places),
    "",
    ...detail,
    "",
  ].join("\n");
}

/** Who is where; with counts also how often each pod was asked. */
export function renderPlaces(
  places: readonly Place[],
  counts?: Readonly<Record<string, ServedCount | undefined>>,
): string {
  const titles = ["PLACE", "KIND", "ON", "ADDRESSES", ...(counts === undefined ? [] : ["TCP", "UDP", "LAST CLIENT"])];
  const rows = places.map(({ name, kind, host, addresses }) => {
    const served = counts?.[name];
    const numbers = served === undefined ? [] : [String(served.tcp), String(served.udp), served.lastClient];
    return [name, kind, host ?? "", addresses.join(" "), ...numbers];
  });
  return renderTable(titles, rows);
}

/** What clients dial. */
export function renderServices({ services }: Topology): string {
  const rows = services.flatMap((service) =>
    service.ports.map((port) => [
      service.name,
      port.protocol,
      [...service.clusterIPs, ...service.externalIPs, ...service.loadBalancerIPs]
        .map((address) => formatSocketAddress({ address, port: port.port }))
        .join(" "),
      port.nodePort === undefined ? "" : String(port.nodePort),
      [...new Set(port.endpoints.map((endpoint) => endpoint.pod ?? formatSocketAddress(endpoint)))].join(" "),
    ]),
  );
  return renderTable(["SERVICE", "PROTOCOL", "VIPS", "NODEPORT", "ENDPOINTS"], rows);
}

/** Commands to type next; each one runs as it stands. */
export function renderSuggestions(
  topology: Topology,
  { command, name, overlay }: { readonly command: string; readonly name: string; readonly overlay: string },
): string {
  const flag = name === "default" ? "" : ` --name ${name}`;
  const lab = (verb: string, rest: string) => `  ${command} lab ${verb}${flag} ${rest}`.trimEnd();
  const [host] = topology.hosts;
  const pod = topology.hosts.flatMap(({ pods }) => pods).at(0);
  const service = topology.services.find(({ clusterIPs, ports }) => clusterIPs.length > 0 && isTcp(ports));
  const vip = service?.clusterIPs.at(0);
  const port = service?.ports.find(({ protocol }) => protocol === "tcp");
  const nodePort = topology.services
    .flatMap(({ ports }) => ports)
    .find((each) => each.nodePort !== undefined && each.protocol === "tcp")?.nodePort;
  const suggestions: string[] = [];
  if (host !== undefined && vip !== undefined && port !== undefined) {
    const url = formatSocketAddress({ address: vip, port: port.port });
    suggestions.push(lab("exec", `${word(host.name)} -- curl -s ${url}`));
    if (pod !== undefined) suggestions.push(lab("exec", `${word(pod.name)} -- curl -s ${url}`));
  }
  const address = host?.addresses.at(0);
  if (address !== undefined && nodePort !== undefined) {
    suggestions.push(lab("exec", `client -- curl -s ${formatSocketAddress({ address, port: nodePort })}`));
  }
  if (host !== undefined) {
    const [tunnel = "eth0"] = overlay === "vxlan" && topology.hosts.length > 1 ? vxlanDevices(topology) : [];
    const device = host.podCIDRs.length > 0 ? tunnel : "eth0";
    suggestions.push(lab("capture", `${word(host.name)} ${device} -- tcp`), lab("exec", word(host.name)));
  }
  suggestions.push(lab("status", ""), lab("down", ""));
  return `Try:\n${suggestions.join("\n")}`;
}

function isTcp(ports: Topology["services"][number]["ports"]): boolean {
  return ports.some(({ protocol }) => protocol === "tcp");
}

/** A name as one word of a shell. */
function word(name: string): string {
  return /^[\w.@%+=:,/-]+$/.test(name) ? name : `'${visible(name).replaceAll("'", `'\\''`)}'`;
}
