import type { NodeSettings, Topology } from "../model.ts";
import { configureNode } from "../proxy-configuration/configure-node.ts";
import type { ParsedProxyConfiguration } from "../proxy-configuration/parse-proxy-configuration.ts";
import { SubjectPath } from "../subject-path.ts";
import { FaultReport } from "../text/fault-report.ts";
import { finishReading, type ParsedTopology } from "../text/finish-reading.ts";
import { type LoadedDocuments, loadInput } from "../text/load-documents.ts";
import type { SourceDocument } from "../text/source-document.ts";
import { ValueReader } from "../value-reader.ts";
import { buildHosts } from "./build-hosts.ts";
import { buildNodeSettings } from "./build-node-settings.ts";
import { buildServices } from "./build-services.ts";
import { checkServices } from "./check-services.ts";
import { checkShape, topologySchema } from "./check-shape.ts";
import type { RawTopology } from "./raw-topology.ts";

/**
 * Reads a topology file, YAML or JSON.
 *
 * @throws InputError with every fault of the file, each with its line and column
 */
export function parseTopology(bytes: Uint8Array, { file }: { readonly file: string }): ParsedTopology {
  return readTopologyDocuments(loadInput([{ file, bytes }]));
}

export interface ReadOptions {
  /** kube-proxy's, where the settings of the data path are to be its. */
  readonly configuration?: ParsedProxyConfiguration;
}

/** The same, of what was loaded already. */
export function readTopologyDocuments(
  { documents, faults }: LoadedDocuments,
  { configuration }: ReadOptions = {},
): ParsedTopology {
  const report = new FaultReport();
  const [read] = documents.map((document, index) => {
    if (index === 0) return buildTopology(document, report);
    const hint = "Put hosts and services into one document of one file, without `---` between them";
    report.error("SEVERAL_DOCUMENTS", { document, path: [] }, "A topology is one document, and this is another", hint);
    return undefined;
  });
  if (read === undefined) throw new TypeError("there is no document to read");
  const { hosts, services, settings } = read;
  const { node, warnings } = configureNode(settings, configuration);
  return {
    topology: { source: "topology", hosts, services, node },
    warnings: [...finishReading(report, faults), ...warnings],
  };
}

/** Reads one document; what it cannot read goes into the report and is missing. */
export function buildTopology(
  document: SourceDocument,
  report: FaultReport,
): Pick<Topology, "hosts" | "services"> & { readonly settings: Partial<NodeSettings> } {
  const shaped = checkShape(topologySchema, { document, report });
  // The cast is what checkShape promises of the schema that topologyFile was printed to.
  const raw = (shaped ?? {}) as RawTopology;
  const reader = new ValueReader(document, report);
  const directory = buildHosts(raw.hosts ?? [], reader);
  const services = buildServices(raw.services, { reader, directory });
  checkServices(services, { reader, directory });
  const settings =
    raw.node === undefined
      ? {}
      : buildNodeSettings(raw.node, {
          reader,
          where: SubjectPath.root("the node settings").at("node"),
          directory,
          services,
        });
  return { hosts: directory.hosts, services: services.map(({ service }) => service), settings };
}
