import { ROUTE_LOCALNET } from "@svcproxy/host";
import { compileTable, formatTable, TABLE, tableName } from "@svcproxy/nftables";
import { type Family, type HostPlan, listNames, servesNodePortsOnLocalhost, visible } from "@svcproxy/topology";

export interface PrintTablesOptions {
  /** Default: those that have services. */
  readonly families: readonly Family[] | undefined;
  readonly countsTraffic: boolean;
}

/** What `svcproxy nftables` prints: text that `nft -f` loads, whether or not there are tables of ours. */
export function* printTables(
  plan: HostPlan,
  { families = familiesInUse(plan), countsTraffic }: PrintTablesOptions,
): Generator<string> {
  const name = visible(JSON.stringify(plan.host.name));
  yield `#!/usr/sbin/nft -f\n# The services of host ${name} as nftables tables, for nft -f. A table of ours that is there is replaced as a whole,\n`;
  yield "# by the two lines before it, which refuses connections for a moment: `svcproxy nftables apply` changes what differs.\n";
  for (const family of families) {
    const { table, unnumbered } = compileTable(plan, { family, countsTraffic });
    if (unnumbered.length > 0) {
      const left = listNames(unnumbered.map(({ service }) => service));
      yield `# not served, because the numbers of table ${TABLE} have run out: ${visible(left)}\n`;
    }
    yield `\ntable ${tableName(family)}\ndelete table ${tableName(family)}\n`;
    yield* formatTable(table);
  }
}

/** What nft cannot say: a sysctl without which NodePorts on 127.0.0.1 get no answer. */
export function sysctlNeed({ node }: HostPlan): string | undefined {
  if (!servesNodePortsOnLocalhost(node)) return undefined;
  return `NodePorts on 127.0.0.1 need ${ROUTE_LOCALNET}=1; set it once this table, which guards it, is loaded`;
}

function familiesInUse({ ports }: HostPlan): readonly Family[] {
  const used = ([4, 6] as const).filter((family) => ports.some((port) => port.family === family));
  return used.length === 0 ? [4] : used;
}
