import { InputError } from "../errors.ts";
import { parseTopology } from "../file/parse-topology.ts";

/** A text in UTF-8. */
export const bytes = (text: string) => new TextEncoder().encode(text);
/** @throws InputError */
export const read = (text: string) => parseTopology(bytes(text), { file: "t.yaml" });

/** What is wrong with a file, whether or not it can be read all the same. */
export function faultsOf(input: string | Uint8Array) {
  try {
    return parseTopology(typeof input === "string" ? bytes(input) : input, { file: "t.yaml" }).warnings;
  } catch (error) {
    if (error instanceof InputError) return error.faults;
    throw error;
  }
}

/** Takes the marks out of a text and tells where they stood. */
export function marked(text: string) {
  const places: string[] = [];
  const plain = text.replace(/‸/g, (_mark, offset: number) => {
    const lines = text.slice(0, offset).replaceAll("‸", "").split("\n");
    places.push(`${lines.length}:${(lines.at(-1) ?? "").length + 1}`);
    return "";
  });
  return { plain, places };
}

/** One host with two pods, and a service: each case puts its own lines in their place. */
export function topologyText({
  hosts = "",
  host = "podCIDR: 10.5.0.0/24",
  pods = "",
  service = "clusterIP: 10.100.0.1",
  ports = "[{ port: 80 }]",
  endpoints = "[p1]",
  rest = "",
}: Partial<Record<"hosts" | "host" | "pods" | "service" | "ports" | "endpoints" | "rest", string>>): string {
  return `hosts:
  - name: h1
    address: 192.168.0.1
    ${host}
    pods:
      - { name: p1, address: "10.5.0.2:3000" }
      - { name: p2, address: "10.5.0.3" }
${pods}
${hosts}
services:
  - name: s1
    ${service}
    ports: ${ports}
    endpoints: ${endpoints}
${rest}
`;
}
