import { expect, test } from "vitest";
import { overviewOf } from "../engine/overview-of.ts";
import type { PageService, ServiceStateKind } from "../model.ts";
import { viewedOf } from "../testing/example-viewed.ts";
import { findServices, hostsThatDifferFirst, sortServices } from "./search-services.ts";

const { services } = overviewOf(
  viewedOf([
    {
      name: "web",
      namespace: "shop",
      id: "1",
      clusterIP: "10.96.0.1",
      ports: [{ name: "http", port: 80 }],
      endpoints: ["10.9.9.1:8080"],
    },
    {
      name: "web",
      namespace: "blog",
      id: "2",
      clusterIP: "10.96.0.2",
      ports: [{ port: 443, nodePort: 30443 }],
      endpoints: [],
    },
    { name: "mail", namespace: "shop", id: "3", clusterIP: "fd00::25", ports: [{ port: 25 }], endpoints: [] },
  ]),
);

test.for([
  { search: "web", finds: ["shop/web", "blog/web"] },
  { search: "WEB shop", finds: ["shop/web"] },
  { search: "10.96.0.2", finds: ["blog/web"] },
  { search: "10.96.0.1:80", finds: ["shop/web"] },
  { search: "30443", finds: ["blog/web"] },
  { search: "10.9.9.1", finds: ["shop/web"] },
  { search: "fd00::25", finds: ["shop/mail"] },
  { search: "", namespace: "shop", finds: ["shop/web", "shop/mail"] },
  { search: "", state: "failed", finds: [] },
])("$search $namespace $state finds $finds", ({ search, namespace = "", state = "", finds }) => {
  expect(findServices(services, { search, namespace, state }).map(({ id }) => id)).toEqual(finds);
});

test("those that are not well come first, before them those that differ between hosts", () => {
  const states: readonly (readonly ServiceStateKind[])[] = [
    ["in-force", "in-force"],
    ["failed", "failed"],
    ["in-force", "failed"],
  ];
  const known = services.map(
    (service, index): PageService => ({
      ...service,
      states: (states[index] ?? []).map((kind) => ({ kind })),
    }),
  );
  expect(sortServices(known, true).map(({ id }) => id)).toEqual(["shop/mail", "blog/web", "shop/web"]);
});

test("hosts that stand otherwise than most come first; of two they stay as they are", () => {
  const of = (...kinds: readonly ServiceStateKind[]) => {
    const [service] = services;
    if (service === undefined) throw new Error("no service");
    return { ...service, states: kinds.map((kind) => ({ kind })) };
  };
  const hosts = ["a", "b", "c"].map((name) => ({ name, rules: "read" as const }));
  const three = [of("in-force", "in-force", "failed"), of("in-force", "in-force", "in-force")];
  expect(hostsThatDifferFirst({ hosts, services: three })).toEqual([2, 0, 1]);
  expect(hostsThatDifferFirst({ hosts: hosts.slice(1), services: [of("in-force", "failed")] })).toEqual([0, 1]);
});
