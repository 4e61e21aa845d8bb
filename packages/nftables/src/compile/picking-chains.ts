import { type Family, type Protocol, unreachable } from "@svcproxy/topology";
import { formatDuration } from "../table/duration.ts";
import type { Chain } from "../table/nft-table.ts";
import { affinityClient, affinityMapOf, endpointsOf, ipOf, PROTOCOLS, stickyEndpointsOf } from "./collections.ts";

/** How a group picks one of its endpoints: anew for each connection, or the one that the client had last. */
export type Picking =
  | { readonly kind: "anew"; readonly protocol: Protocol; readonly count: number }
  | { readonly kind: "sticky"; readonly timeoutSeconds: number; readonly count: number };

/** The chain that a group goes to. All groups of one size share it. */
export function pickingChainName(picking: Picking): string {
  return picking.kind === "anew"
    ? `pick-${picking.protocol}-${picking.count}`
    : `sticky-${picking.timeoutSeconds}-${picking.count}`;
}

/** @returns undefined for the name of another chain */
export function parsePickingChainName(name: string): Picking | undefined {
  const [, protocol, anewCount] = /^pick-([a-z]+)-(\d+)$/.exec(name) ?? [];
  const known = PROTOCOLS.find((candidate) => candidate === protocol);
  if (known !== undefined) return { kind: "anew", protocol: known, count: Number(anewCount) };
  const [, timeout, stickyCount] = /^sticky-(\d+)-(\d+)$/.exec(name) ?? [];
  if (timeout === undefined) return undefined;
  return { kind: "sticky", timeoutSeconds: Number(timeout), count: Number(stickyCount) };
}

/** `numgen random mod n` draws each of its numbers as often as the others, so every endpoint has a share of exactly 1/n. */
export function pickingChain(picking: Picking, family: Family): Chain {
  const name = pickingChainName(picking);
  const draw = `meta priority . numgen random mod ${picking.count}`;
  switch (picking.kind) {
    case "anew": {
      const { protocol } = picking;
      return { name, rules: [rewrite(protocol, `${draw} map @${endpointsOf(protocol)}`, family), "drop"] };
    }
    case "sticky": {
      const { timeoutSeconds } = picking;
      return {
        name,
        rules: [
          `jump recall-${timeoutSeconds}`,
          `meta priority set ${draw} map @slots goto learn-${timeoutSeconds}`,
          "drop",
        ],
      };
    }
    default:
      return unreachable(picking);
  }
}

/** nft wants to know the protocol of a port that it rewrites. */
function rewrite(protocol: Protocol, endpoint: string, family: Family): string {
  return `meta l4proto ${protocol} dnat ${ipOf(family)} to ${endpoint}`;
}

/** Where a client that has a slot goes; the same for every timeout. */
export function rewriteStickyChain(family: Family): Chain {
  return {
    name: "rewrite-sticky",
    comment: "to the endpoint of the slot",
    rules: [
      ...PROTOCOLS.map((protocol) => rewrite(protocol, `meta priority map @${stickyEndpointsOf(protocol)}`, family)),
      "drop",
    ],
  };
}

/** How the clients of services with one timeout are remembered, and what becomes of those whose endpoint is gone. */
export function affinityChains(timeoutSeconds: number, family: Family): readonly Chain[] {
  const map = `@${affinityMapOf(timeoutSeconds)}`;
  const { field: client } = affinityClient(family);
  const lifetime = `timeout ${formatDuration(timeoutSeconds)}`;
  const remember = `update ${map} { meta priority & ffff:0 . ${client} ${lifetime} : meta priority }`;
  return [
    {
      name: `recall-${timeoutSeconds}`,
      comment: "returns where the client has no endpoint to stay with",
      rules: [`meta priority set meta priority . ${client} map ${map} goto recalled-${timeoutSeconds}`],
    },
    {
      name: `recalled-${timeoutSeconds}`,
      rules: [`meta priority != @usable-slots goto forget-${timeoutSeconds}`, remember, "goto rewrite-sticky"],
    },
    {
      name: `forget-${timeoutSeconds}`,
      comment: "its endpoint is gone",
      rules: [
        "meta priority set meta priority & ffff:0",
        `delete ${map} { meta priority . ${client} ${lifetime} : meta priority }`,
      ],
    },
    {
      name: `learn-${timeoutSeconds}`,
      comment: "a full map remembers nobody new: such a connection is balanced and counted",
      rules: [`${remember} goto learned-${timeoutSeconds}`, "meta l4proto @unremembered goto rewrite-sticky", "drop"],
    },
    {
      name: `learned-${timeoutSeconds}`,
      comment: "of connections that a client opens at once, the first decides",
      rules: [`meta priority set meta priority & ffff:0 . ${client} map ${map}`, "goto rewrite-sticky"],
    },
  ];
}
