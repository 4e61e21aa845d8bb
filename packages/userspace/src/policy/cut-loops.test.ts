import { parseIpAddress, parsePort } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { cutLoops } from "./cut-loops.ts";
import type { EndpointTarget, FrontendSpec } from "./frontend-spec.ts";

test.for([
  { name: "endpoints elsewhere stay", endpoints: { a: ["x", "y"] }, expected: { a: ["x", "y"] } },
  { name: "a frontend that is its own endpoint refuses", endpoints: { a: ["a"] }, expected: { a: "refuse" } },
  { name: "its other endpoints stay", endpoints: { a: ["a", "x"] }, expected: { a: ["x"] } },
  {
    name: "a frontend may lead to another, which leads elsewhere",
    endpoints: { a: ["b"], b: ["x"] },
    expected: { a: ["b"], b: ["x"] },
  },
  {
    name: "a round of three is cut",
    endpoints: { a: ["b"], b: ["c"], c: ["a", "x"] },
    expected: { a: "refuse", b: "refuse", c: ["x"] },
  },
  {
    name: "what only leads into a round stays",
    endpoints: { a: ["b"], b: ["b"] },
    expected: { a: ["b"], b: "refuse" },
  },
])("$name", ({ endpoints, expected }) => {
  const { frontends, loops } = cutLoops(
    new Map(Object.entries(endpoints).map(([name, targets]) => [keyOf(name), frontend(name, targets)])),
  );
  const seen = Object.fromEntries(
    Object.keys(endpoints).map((name) => {
      const treatment = frontends.get(keyOf(name))?.clients.outside;
      return [
        name,
        treatment?.kind === "forward" ? treatment.endpoints.map(({ key }) => nameOf(key)) : treatment?.kind,
      ];
    }),
  );
  expect(seen).toEqual(expected);
  const before = Object.values(endpoints).flat().length;
  const after = Object.values(expected).flatMap((left) => (left === "refuse" ? [] : left)).length;
  expect(loops).toHaveLength(before - after);
});

const keyOf = (name: string) => `tcp 10.0.0.1:${name.charCodeAt(0)}`;
const nameOf = (key: string) => String.fromCharCode(Number(key.split(":")[1]));

function target(name: string): EndpointTarget {
  const [address, port] = [parseIpAddress("10.0.0.1"), parsePort(name.charCodeAt(0))];
  if (address === undefined || port === undefined) throw new Error("no address");
  return { key: keyOf(name), address, port };
}

function frontend(name: string, endpoints: readonly string[]): FrontendSpec {
  const treatment = { kind: "forward", endpoints: endpoints.map(target) } as const;
  return {
    ...target(name),
    protocol: "tcp",
    kind: "clusterIP",
    service: `default/${name}`,
    portName: "",
    affinityKey: name,
    affinityTimeoutMs: 0,
    sourceRanges: [],
    clients: { pod: treatment, host: treatment, outside: treatment },
  };
}
