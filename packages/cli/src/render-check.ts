import { DEFAULT_NODE_SETTINGS, visible } from "@svcproxy/topology";
import type { CheckReport, PortReport } from "./check-report.ts";
import { renderTable } from "./text-table.ts";

/** The report as tables with a title each; a section without rows is left out. */
export function renderCheck(report: CheckReport): string {
  const sections = [
    hostsSection(report),
    podsSection(report),
    servicesSection(report),
    endpointsSection(report),
    settingsSection(report),
    planSection(report),
    listSection("Limits", report.limits),
  ];
  const shown = sections.filter((section) => section !== "");
  return shown.length === 0 ? "No hosts, pods or services\n" : `${shown.join("\n\n")}\n`;
}

function tableSection(title: string, titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? "" : `${title} (${rows.length})\n${renderTable(titles, rows)}`;
}

function listSection(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${title}\n${lines.map((line) => `- ${visible(line)}`).join("\n")}`;
}

function hostsSection({ hosts }: CheckReport): string {
  return tableSection(
    "Hosts",
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

function podsSection({ pods }: CheckReport): string {
  return tableSection(
    "Pods",
    ["NAME", "HOST", "ADDRESSES", "STATE"],
    pods.map(({ name, host, addresses, state }) => [name, host, addresses.join(", "), state]),
  );
}

function servicesSection({ services }: CheckReport): string {
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
  const table = renderTable(["SERVICE", "PORT", "PORT NAME", "FRONTEND", "ENDPOINTS", "POLICIES"], rows);
  return services.length === 0 ? "" : `Services (${services.length})\n${table}`;
}

/** `2 of 3 ready`; where the families of a NodePort differ, each with its own. */
function describeReadiness(readiness: PortReport["readiness"][number]): string {
  const counts = readiness.map(({ ready, endpoints }) => `${ready} of ${endpoints} ready`);
  if (new Set(counts).size === 1) return counts[0] ?? "";
  return readiness.map(({ family }, index) => `IPv${family}: ${counts[index]}`).join(", ");
}

function endpointsSection({ services }: CheckReport): string {
  return tableSection(
    "Endpoints",
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
  const { detectLocal, clusterCIDRs, masqueradeAll, masqueradeBit, nodePortAddresses } = node;
  return listSection("Node settings", [
    ...(detectLocal === undefined ? [] : [`pods are told by ${Object.values(detectLocal).join(" ")}`]),
    ...(clusterCIDRs.length === 0 ? [] : [`clusterCIDR ${clusterCIDRs.join(", ")}`]),
    ...(masqueradeAll ? ["masqueradeAll: whatever goes to a ClusterIP is masqueraded"] : []),
    ...(masqueradeBit === DEFAULT_NODE_SETTINGS.masqueradeBit ? [] : [`masqueradeBit ${masqueradeBit}`]),
    ...(nodePortAddresses.length === 0 ? [] : [`NodePorts only on addresses in ${nodePortAddresses.join(", ")}`]),
    ...(node.nodePortsOnPrimaryAddress ? ["NodePorts only on the host's primary address of each family"] : []),
    ...(node.localhostNodePorts ? ["NodePorts on 127.0.0.0/8 too"] : []),
  ]);
}

function planSection({ plan }: CheckReport): string {
  if (plan === undefined) return "";
  const isDualStack = new Set(plan.frontends.map(({ family }) => family)).size > 1;
  const frontends = tableSection(
    `What ${visible(plan.host)} does with a new connection`,
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
