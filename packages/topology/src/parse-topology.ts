import { buildHosts } from "./build-hosts.ts";
import { buildNodeSettings } from "./build-node-settings.ts";
import { buildServices } from "./build-services.ts";
import { checkServices } from "./check-services.ts";
import { checkShape } from "./check-shape.ts";
import { decodeText, emptyFile } from "./decode-text.ts";
import { FaultReport } from "./fault-report.ts";
import { finishReading, type ParsedTopology } from "./finish-reading.ts";
import { loadDocuments } from "./load-documents.ts";
import type { Topology } from "./model.ts";
import { DEFAULT_NODE_SETTINGS } from "./model.ts";
import type { RawTopology } from "./raw-topology.ts";
import type { SourceDocument } from "./source-document.ts";
import { Spot } from "./spot.ts";
import { topologySchema } from "./topology-schema.ts";
import { ValueReader } from "./value-reader.ts";

/**
 * Reads a topology file, YAML or JSON.
 *
 * @throws InputError with every fault of the file, each with its line and column
 */
export function parseTopology(bytes: Uint8Array, { file }: { readonly file: string }): ParsedTopology {
  const { documents, faults } = loadDocuments(decodeText({ file, bytes }));
  const [document, second] = documents;
  if (document === undefined) throw emptyFile(file, "The file has nothing in it but comments");
  const report = new FaultReport();
  if (second !== undefined) {
    report.error(
      "SEVERAL_DOCUMENTS",
      { document: second, path: [] },
      "A topology file holds one document, and this is a second one",
      "Put hosts and services into one document, without `---` between them",
    );
  }
  return finishReading(buildTopology(document, report), { report, faults });
}

/** Reads one document; what it cannot read goes into the report and is missing from the topology. */
export function buildTopology(document: SourceDocument, report: FaultReport): Topology {
  const shaped = checkShape(topologySchema, { document, report });
  // The cast is what checkShape promises of the schema that topologyFile was printed to.
  const raw = (shaped ?? {}) as RawTopology;
  const reader = new ValueReader(document, report);
  const directory = buildHosts(raw.hosts ?? [], reader);
  const services = buildServices(raw.services, { reader, directory });
  checkServices(services, { reader, directory });
  return {
    source: "topology",
    hosts: directory.hosts,
    services: services.map(({ service }) => service),
    node:
      raw.node === undefined
        ? DEFAULT_NODE_SETTINGS
        : buildNodeSettings(raw.node, { reader, spot: Spot.root("the node settings").at("node") }),
  };
}
