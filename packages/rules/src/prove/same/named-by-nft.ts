import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import type { DatumPart, NftExpression, NftRuleSet, NftSetReference, NftTable } from "../../nft/nft-rule-set.ts";

/** What rules of nftables name of a host, and so tell apart. */
export interface NftNames {
  /** A final `*` stands for any rest. */
  readonly devices: ReadonlySet<string>;
  readonly addresses: ReadonlySet<IpAddress>;
}

/** The interfaces and the single addresses that conditions and verdict maps ask for. */
export function namedByNft({ tables }: NftRuleSet): NftNames {
  const devices = new Set<string>();
  const addresses = new Set<IpAddress>();
  for (const table of tables) {
    for (const { rules } of table.chains) {
      for (const { statements } of rules) {
        for (const statement of statements) {
          if (statement.kind !== "match" && statement.kind !== "vmap") continue;
          const key = statement.kind === "match" ? statement.left : statement.key;
          const parts = key.kind === "concat" ? key.parts : [key];
          const asked = statement.kind === "match" ? statement.right : { kind: "set" as const, set: statement.map };
          const values = asked.kind === "value" ? [asked.parts] : keysOf(table, asked.set);
          for (const [at, part] of parts.entries()) {
            for (const value of values) note(part, value[at], { devices, addresses });
          }
        }
      }
    }
  }
  return { devices, addresses };
}

function keysOf({ sets }: NftTable, set: NftSetReference): readonly (readonly DatumPart[])[] {
  const elements = set.kind === "anonymous" ? set.elements : (sets.get(set.name)?.elements ?? []);
  return elements.map(({ key }) => key);
}

const DEVICES: readonly string[] = ["iif", "oif", "iifname", "oifname"];

function note(
  part: NftExpression,
  value: DatumPart | undefined,
  { devices, addresses }: { readonly devices: Set<string>; readonly addresses: Set<IpAddress> },
): void {
  if (typeof value !== "string") return;
  if (part.kind === "meta" && DEVICES.includes(part.key)) devices.add(value);
  const address = part.kind === "payload" ? parseIpAddress(value) : undefined;
  if (address !== undefined) addresses.add(address);
}
