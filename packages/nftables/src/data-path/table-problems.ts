import type { Family, Problem } from "@svcproxy/topology";
import { MAX_NUMBER } from "../table/classid.ts";
import { tableName } from "../table/format-table.ts";
import type { ApplyRun } from "./apply-run.ts";

/** @param service `namespace/name` */
export function numberProblem(service: string): Problem {
  return {
    ...{ code: "NUMBERS_EXHAUSTED", severity: "error", subject: `service ${service}` },
    text: `Service ${service} is not served: a table holds ${MAX_NUMBER} groups of endpoints, one a port and another under policy Local, and each group as many endpoints that clients stay with`,
    hint: "Serve fewer services on this host, or use: svcproxy iptables",
  };
}

export function fullTableProblem(family: Family, count: number): Problem {
  return {
    ...{ code: "AFFINITY_TABLE_FULL", severity: "warning", subject: `table ${tableName(family)}` },
    text: `Since this table was made, ${count} new connections found no room in a map of session affinity: they were balanced, and their clients may change endpoints`,
    hint: "Raise `node.affinityTableSize` of the topology file; a cluster has no setting for it",
  };
}

/** That a look found what another program had changed; by then it is mended. */
export function foreignChanges({ changes }: ApplyRun): readonly Problem[] {
  const families = new Set(
    changes.map((change) => (change.kind === "removal" ? change.family : change.transaction.family)),
  );
  return [...families].map(foreignChange);
}

export function foreignChange(family: Family): Problem {
  return {
    ...{ code: "FOREIGN_CHANGE", severity: "warning", subject: `table ${tableName(family)}` },
    text: `Another program had changed our table ${tableName(family)}; it is as planned again`,
    hint: "`nft monitor` tells who writes to it",
  };
}
