import { writeFileSync } from "node:fs";

/** The only host of it. */
export const HOST = { name: "web1", address: "192.0.2.1" } as const;

/** Writes a topology file of so many services with three endpoints each, as an inventory of 50 teams has them. */
export function writeTopology(file: string, count: number): void {
  writeFileSync(file, JSON.stringify({ hosts: [{ ...HOST, podCIDR: "10.5.75.0/24" }], services: servicesOf(count) }));
}

function servicesOf(count: number): readonly object[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `service-${index}`,
    namespace: `team-${index % 50}`,
    clusterIP: `10.96.${index >> 8}.${index & 255}`,
    ports: [{ port: 80 }],
    endpoints: [0, 1, 2].map((part) => `10.${128 + part}.${index >> 8}.${index & 255}:8080`),
  }));
}
