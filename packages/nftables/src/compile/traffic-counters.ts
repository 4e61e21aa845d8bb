import type { Family } from "@svcproxy/topology";
import type { Chain, Collection, Element } from "../table/nft-table.ts";
import { element } from "../table/nft-table.ts";
import { ipOf, PROTOCOLS, set } from "./collections.ts";

/** After every table that rewrites a source, whose bytes nobody changes any more. */
const COUNTING_PRIORITY = 300;

/** Both directions of a connection, by what its client dialled. */
const DIRECTIONS = [
  { name: "requests", who: "from clients" },
  { name: "replies", who: "to clients" },
] as const;

/** Sets of frontends whose elements count packets and bytes. */
export function trafficCollections(family: Family): readonly Collection[] {
  const address = `${ipOf(family)} daddr`;
  return DIRECTIONS.flatMap(({ name, who }) => [
    set(name, `${address} . meta l4proto . th dport`, {
      counts: true,
      comment: `address . protocol . port; counts packets and bytes ${who}`,
    }),
    set(`nodeport-${name}`, "meta l4proto . th dport", {
      counts: true,
      comment: `NodePort: protocol . port; counts packets and bytes ${who}`,
    }),
  ]);
}

/** The members of those sets for a port's frontends. */
export function trafficElements(frontends: readonly Pick<Element, "collection" | "key">[]): readonly Element[] {
  return DIRECTIONS.flatMap(({ name }) =>
    frontends.map(({ collection, key }) => element(collection === "nodeports" ? `nodeport-${name}` : name, key)),
  );
}

/** Every packet of a connection to a service passes one of the two base chains once, in each direction. */
export function trafficChains(family: Family): readonly Chain[] {
  const ip = ipOf(family);
  return [
    {
      name: "count-leaving",
      comment: "each packet of a service's connection that leaves this host, or its loopback",
      hook: { type: "filter", hook: "postrouting", priority: COUNTING_PRIORITY },
      rules: ["ct status dnat jump count"],
    },
    {
      name: "count-arriving",
      comment: "and each that ends here",
      hook: { type: "filter", hook: "input", priority: COUNTING_PRIORITY },
      rules: ['iifname != "lo" ct status dnat jump count'],
    },
    { name: "count", rules: ["ct direction original goto count-requests", "goto count-replies"] },
    ...DIRECTIONS.map(({ name }) => ({
      name: `count-${name}`,
      rules: [
        // nft wants to know the protocol before it says anything of a connection's ports.
        ...PROTOCOLS.map(
          (protocol) =>
            `meta l4proto ${protocol} ct original ${ip} daddr . meta l4proto . ct original proto-dst @${name} return`,
        ),
        ...PROTOCOLS.map(
          (protocol) => `meta l4proto ${protocol} meta l4proto . ct original proto-dst @nodeport-${name} return`,
        ),
      ],
    })),
  ];
}
