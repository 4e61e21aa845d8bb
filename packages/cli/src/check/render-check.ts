import { DEFAULT_NODE_SETTINGS, visible } from "@svcproxy/topology";
import { renderTable } from "../command-line/text-table.ts";
import type { CheckReport, PortReport } from "./check-report.ts";

/** So many rows of a table tell what the others are like; a cluster has thousands. */
const SHOWN_ROWS = 100;

/** The report as tables with a title each; a section without rows is left out. @param options.isWhole whether no table is cut */
export function renderCheck(report: CheckReport, { isWhole }: { readonly isWhole: boolean }): string {
  const most = isWhole ? Number.POSITIVE_INFINITY : SHOWN_ROWS;
  const sections = [
    hostsSection(report, most),
    podsSection(report, most),
    servicesSection(report, most),
    endpointsSection(report, most),
    settingsSection(report),
    planSection(report, most),
    listSection("Limits", report.limits),
  ];
  const shown = sections.filter((section) => section !== "");
  return shown.length === 0 ? "No hosts, pods or services\n" : `${shown.join("\n\n")}\n`;
}

/** How many there are of everything, and what is wrong. */
export function renderCheckSummary({ hosts, pods, services, problems }: CheckReport): string {
  const endpoints = services.flatMap(({ ports }) => ports.flatMap((port) => port.endpoints));
  const ports = services.flatMap((service) => service.ports);
  const served = services.filter((service) => service.ports.some(({ frontends }) => frontends.length > 0));
  const unready = served.filter((service) =>
    service.ports.some((port) => !port.endpoints.some(({ state }) => state === "ready")),
  );
  const ready = endpoints.filter(({ state }) => state === "ready").length;
  const rows = [
    ["hosts", String(hosts.length), ""],
    ["pods", String(pods.length), `${pods.filter(({ state }) => state === "ready").length} ready`],
    [
      "services",
      String(services.length),
      `${served.length} served, ${unready.length} with a port without a ready endpoint`,
    ],
    ["ports", String(ports.length), ""],
    ["frontends", String(ports.reduce((count, { frontends }) => count + frontends.length, 0)), ""],
    ["endpoints", String(endpoints.length), `${ready} ready`],
  ];
  const byCode = [...Map.groupBy(problems, ({ severity, code }) => `${severity} ${code}`)];
  const found = tableSection(
    { title: "Problems", count: problems.length, most: Number.POSITIVE_INFINITY },
    ["PROBLEM", "COUNT", "FOR INSTANCE"],
    byCode.map(([name, alike]) => [name, String(alike.length), alike[0]?.text ?? ""]),
  );
  return `${renderTable(["WHAT", "COUNT", "OF WHICH"], rows)}\n${found === "" ? "" : `\n${found}\n`}`;
}

interface Section {
  readonly title: string;
  /** In the title; by default the rows. */
  readonly count?: number;
  /** Rows beyond are counted only. */
  readonly most: number;
}

function tableSection(
  { title, most, count }: Section,
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  if (rows.length === 0) return "";
  const left = rows.length - most;
  const more = left > 0 ? `\n… and ${left} more: --all shows them, --service NAME those of one service` : "";
  return `${title} (${count ?? rows.length})\n${renderTable(titles, rows.slice(0, most))}${more}`;
}

function listSection(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${title}\n${lines.map((line) => `- ${visible(line)}`).join("\n")}`;
}

function hostsSection({ hosts }: CheckReport, most: number): string {
  return tableSection(
    { title: "Hosts", most },
    ["NAME", "ADDRESSES", "POD CIDRS", "ZONE", "PODS"],
    hosts.map(({ name, addresses, podCIDRs, zone, pods }) => [
      name,
      addresses.join(", "),
      podCIDRs.join(", "),
      zone ?? "",
      String(pods),
    ]),
  );
}

function podsSection({ pods }: CheckReport, most: number): string {
  return tableSection(
    { title: "Pods", most },
    ["NAME", "HOST", "ADDRESSES", "STATE"],
    pods.map(({ name, host, addresses, state }) => [name, host, addresses.join(", "), state]),
  );
}

function servicesSection({ services }: CheckReport, most: number): string {
  const rows = services.flatMap(({ namespace, name, policies, ports }) => {
    const service = `${namespace}/${name}`;
    if (ports.length === 0) return [[service, "", "", "", "", policies.join("; ")]];
    return ports.flatMap(({ name: portName, port, protocol, frontends, readiness, endpoints }) => {
      const shared = [service, `${port}/${protocol}`, portName];
      const ready = endpoints.filter(({ state }) => state === "ready").length;
      // A headless service has no frontend, but clients find its endpoints by name.
      if (frontends.length === 0)
        return [[...shared, "", `${ready} of ${endpoints.length} ready`, policies.join("; ")]];
      return frontends.map((frontend, index) => [
        ...shared,
        frontend,
        describeReadiness(readiness[index] ?? []),
        policies.join("; "),
      ]);
    });
  });
  const titles = ["SERVICE", "PORT", "PORT NAME", "FRONTEND", "ENDPOINTS", "POLICIES"];
  return tableSection({ title: "Services", count: services.length, most }, titles, rows);
}

/** `2 of 3 ready`; where the families of a NodePort differ, each with its own. */
function describeReadiness(readiness: PortReport["readiness"][number]): string {
  const counts = readiness.map(({ ready, endpoints }) => `${ready} of ${endpoints} ready`);
  if (new Set(counts).size === 1) return counts[0] ?? "";
  return readiness.map(({ family }, index) => `IPv${family}: ${counts[index]}`).join(", ");
}

function endpointsSection({ services }: CheckReport, most: number): string {
  return tableSection(
    { title: "Endpoints", most },
    ["SERVICE", "PORT", "ENDPOINT", "POD", "HOST", "STATE", "HINTS"],
    services.flatMap(({ namespace, name, ports }) =>
      ports.flatMap(({ port, protocol, endpoints }) =>
        endpoints.map(({ address, pod, host, state, zones = [], nodes = [] }) => [
          `${namespace}/${name}`,
          `${port}/${protocol}`,
          address,
          pod ?? "",
          host ?? "elsewhere",
          state,
          [...zones.map((zone) => `zone ${zone}`), ...nodes.map((node) => `node ${node}`)].join(", "),
        ]),
      ),
    ),
  );
}

/** Only what differs from the defaults. */
function settingsSection({ node }: CheckReport): string {
  const { detectLocal, clusterCIDRs, serviceCIDRs, masqueradeAll, masqueradeBit, nodePortAddresses } = node;
  return listSection("Node settings", [
    ...(detectLocal === undefined ? [] : [`pods are told by ${Object.values(detectLocal).join(" ")}`]),
    ...(clusterCIDRs.length === 0 ? [] : [`clusterCIDR ${clusterCIDRs.join(", ")}`]),
    ...(serviceCIDRs.length === 0 ? [] : [`serviceCIDRs ${serviceCIDRs.join(", ")}`]),
    ...(masqueradeAll ? ["masqueradeAll: whatever goes to a ClusterIP is masqueraded"] : []),
    ...(masqueradeBit === DEFAULT_NODE_SETTINGS.masqueradeBit ? [] : [`masqueradeBit ${masqueradeBit}`]),
    ...(nodePortAddresses.length === 0 ? [] : [`NodePorts only on addresses in ${nodePortAddresses.join(", ")}`]),
    ...(node.nodePortsOnPrimaryAddress ? ["NodePorts only on the host's primary address of each family"] : []),
    ...(node.affinityTableSize === DEFAULT_NODE_SETTINGS.affinityTableSize
      ? []
      : [`affinityTableSize ${node.affinityTableSize}`]),
    ...(node.localhostNodePorts ? ["NodePorts on 127.0.0.0/8 too"] : []),
  ]);
}

function planSection({ plan }: CheckReport, most: number): string {
  if (plan === undefined) return "";
  const isDualStack = new Set(plan.frontends.map(({ family }) => family)).size > 1;
  const frontends = tableSection(
    { title: `What ${visible(plan.host)} does with a new connection`, most },
    ["SERVICE", "FRONTEND", "PROTOCOL", "FROM A POD", "FROM THE HOST", "FROM OUTSIDE", "SOURCE RANGES"],
    plan.frontends.map(({ service, family, frontend, protocol, pod, host, outside, sourceRanges }) => [
      service,
      // An address shows its family; every address of the host does not.
      isDualStack && frontend.includes(" *:") ? `${frontend} (IPv${family})` : frontend,
      protocol,
      pod,
      host,
      outside,
      sourceRanges.join(", "),
    ]),
  );
  const checks = plan.healthChecks.map(
    ({ service, port, localReadyEndpoints }) => `${service}: port ${port}, ${localReadyEndpoints} ready here`,
  );
  return [frontends, listSection("Health checks", checks)].filter((section) => section !== "").join("\n\n");
}
