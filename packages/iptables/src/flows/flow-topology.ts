import { readFileSync } from "node:fs";
import { parseTopology, type Topology } from "@svcproxy/topology";

const features = new URL("../../golden/features/topology.yaml", import.meta.url);

/** Services enough to give every tree of chains some depth. */
const FILLERS = 60;

/** golden/features, with `crowded` among many other services. */
export function flowTopology({ crowded }: { readonly crowded: boolean }): Topology {
  const text = readFileSync(features, "utf8");
  const fillers = Array.from({ length: crowded ? FILLERS : 0 }, (_, index) =>
    [
      `  - name: filler-${index}`,
      `    clusterIPs: [10.96.0.${110 + index}, "fd96::1:${index}"]`,
      `    ports: [{ port: 80, nodePort: ${30_100 + index} }]`,
      `    endpoints: [${index % 2 === 0 ? "idle" : ""}]`,
    ].join("\n"),
  );
  return parseTopology(Buffer.from([text, ...fillers].join("\n")), { file: features.pathname }).topology;
}
