import { type Family, familyOf, formatCidr, type PodDetector } from "@svcproxy/topology";

/** What the language of nft calls things in one family. */
export interface FamilyWords {
  readonly family: Family;
  readonly ip: "ip" | "ip6";
  readonly type: "ipv4_addr" | "ipv6_addr";
  readonly loopback: string;
}

export const FAMILY_WORDS: Readonly<Record<Family, FamilyWords>> = {
  4: { family: 4, ip: "ip", type: "ipv4_addr", loopback: "127.0.0.0/8" },
  6: { family: 6, ip: "ip6", type: "ipv6_addr", loopback: "::1" },
};

export function chain(name: string, rules: readonly string[]): readonly string[] {
  return [`\tchain ${name} {`, ...rules.map((rule) => `\t\t${rule}`), "\t}"];
}

export function set(
  name: string,
  { type, elements }: { readonly type: string; readonly elements: ReadonlySet<string> },
): readonly string[] {
  return [`\tset ${name} {`, `\t\ttype ${type}`, ...listed([...elements]), "\t}"];
}

export function map(
  name: string,
  { type, elements }: { readonly type: string; readonly elements: ReadonlyMap<string, string> },
): readonly string[] {
  const pairs = [...elements].map(([key, verdict]) => `${key} : ${verdict}`);
  return [`\tmap ${name} {`, `\t\ttype ${type} : verdict`, ...listed(pairs), "\t}"];
}

function listed(elements: readonly string[]): readonly string[] {
  return elements.length === 0 ? [] : [`\t\telements = { ${elements.join(",\n\t\t\t")} }`];
}

export function hex(mark: number): string {
  return `0x${mark.toString(16).padStart(8, "0")}`;
}

/** The condition that holds for this host's pods, or for all others; undefined where nobody tells them apart. */
export function podMatch(
  detector: PodDetector,
  { words: { family, ip }, isNegated }: { readonly words: FamilyWords; readonly isNegated: boolean },
): string | undefined {
  const not = isNegated ? "!= " : "";
  switch (detector.kind) {
    case "none":
      return undefined;
    case "source": {
      const block = detector.cidrs.find(({ address }) => familyOf(address) === family);
      return block === undefined ? undefined : `${ip} saddr ${not}${formatCidr(block)}`;
    }
    case "bridge":
      return `iifname ${not}"${detector.interface}"`;
    case "interfacePrefix":
      return `iifname ${not}"${detector.prefix}*"`;
  }
}

/** Values as nft lists them where one of them is meant. */
export function oneOf(values: readonly string[]): string {
  return values.length === 1 ? values.join("") : `{ ${values.join(", ")} }`;
}
