import { readFileSync } from "node:fs";
import { FEATURES, NODE_SETTINGS } from "@svcproxy/host/testing";
import { type Family, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileScript } from "./compile-rules.ts";
import type { Dialect } from "./dialect.ts";
import { formatRestoreScript, formatShellScript } from "./script/format-script.ts";

const KUBE_PROXY = new URL("../golden/kube-proxy/topology.yaml", import.meta.url);

interface GoldenCase {
  readonly folder: string;
  readonly file: URL;
  readonly host: string;
  readonly dialect: Dialect;
  readonly family: Family;
}

// The files are read in review like code: document ones against the document, kubernetes ones against what kube-proxy writes.
test.for<GoldenCase>([
  { folder: "kube-proxy", file: KUBE_PROXY, host: "node1", dialect: "kubernetes", family: 4 },
  { folder: "features", file: FEATURES, host: "edge", dialect: "document", family: 4 },
  { folder: "features", file: FEATURES, host: "edge", dialect: "document", family: 6 },
  { folder: "features", file: FEATURES, host: "edge", dialect: "kubernetes", family: 4 },
  { folder: "features", file: FEATURES, host: "edge", dialect: "kubernetes", family: 6 },
  { folder: "node-settings", file: NODE_SETTINGS, host: "edge", dialect: "document", family: 4 },
  { folder: "node-settings", file: NODE_SETTINGS, host: "edge", dialect: "document", family: 6 },
  { folder: "node-settings", file: NODE_SETTINGS, host: "edge", dialect: "kubernetes", family: 4 },
  { folder: "node-settings", file: NODE_SETTINGS, host: "edge", dialect: "kubernetes", family: 6 },
])(
  "the $dialect rules of golden/$folder for IPv$family are as reviewed",
  async ({ folder, file, host, dialect, family }) => {
    const golden = new URL(`../golden/${folder}/`, import.meta.url);
    const { topology } = parseTopology(readFileSync(file), { file: file.pathname });
    const script = compileScript(planHost(topology, { host }), { dialect, family });
    const text = dialect === "document" ? formatShellScript(script) : formatRestoreScript(script);
    const extension = dialect === "document" ? "sh" : "restore";
    await expect([...text].join("")).toMatchFileSnapshot(
      new URL(`${dialect}-ipv${family}.${extension}`, golden).pathname,
    );
  },
);
