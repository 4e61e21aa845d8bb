import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FEATURES, NODE_SETTINGS } from "@svcproxy/host/testing";
import { type Family, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileTable } from "./compile-table.ts";
import { formatTable } from "./table/format-table.ts";
import { parseTable } from "./table/parse-table.ts";

interface GoldenCase {
  readonly name: string;
  readonly file: URL;
  readonly host: string;
  readonly family: Family;
  readonly countsTraffic?: boolean;
  readonly isLeased?: boolean;
}

const CLOUDOS = new URL("../../../examples/cloudos.yaml", import.meta.url);

// The files are read in review like code.
test.for<GoldenCase>([
  { name: "cloudos1", file: CLOUDOS, host: "cloudos1", family: 4 },
  { name: "counted", file: CLOUDOS, host: "cloudos1", family: 4, countsTraffic: true },
  { name: "leased", file: CLOUDOS, host: "cloudos1", family: 4, isLeased: true },
  { name: "features", file: FEATURES, host: "edge", family: 4 },
  { name: "features", file: FEATURES, host: "edge", family: 6 },
  { name: "node-settings", file: NODE_SETTINGS, host: "edge", family: 4 },
  { name: "node-settings", file: NODE_SETTINGS, host: "edge", family: 6 },
])("the table of golden/$name for IPv$family is as reviewed", async ({ name, file, host, ...options }) => {
  const { topology } = parseTopology(readFileSync(file), { file: file.pathname });
  const { table } = compileTable(planHost(topology, { host }), options);
  const text = [...formatTable(table)].join("");
  const golden = new URL(`../golden/${name}-ipv${options.family}.nft`, import.meta.url);
  await expect(text).toMatchFileSnapshot(fileURLToPath(golden));
  expect(parseTable(text, options.family)).toEqual(table);
});
