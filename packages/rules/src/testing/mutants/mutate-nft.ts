import type { RandomSource } from "../differential/random-source.ts";

/** A table's text with one thing changed. */
export interface NftMutant {
  /** What was changed, in words. */
  readonly told: string;
  /** For `nft -f`, with the tables of others behind it. */
  readonly text: string;
}

/** Changes one line of a table as `nft -f` reads it, or adds a table of somebody else. */
export function mutateNft(text: string, random: RandomSource): NftMutant | undefined {
  if (random.chance(0.15)) {
    const foreign = random.pick(FOREIGN);
    return { told: `beside ${foreign}`, text: `${text}\ntable ip foreign {\nchain c {\n${foreign}\n}\n}\n` };
  }
  const lines = text.split("\n");
  const places = [...lines.keys()].filter((place) => isChangeable(lines, place));
  const place = random.pick(places);
  const line = lines[place] ?? "";
  const told = line.trim();
  switch (random.pick(["delete", "swap", "alter", "alter", "alter"] as const)) {
    case "delete":
      return { told: `without ${told}`, text: withLine(lines, place, []) };
    case "swap": {
      const next = lines[place + 1] ?? "";
      if (isElement(line) || !places.includes(place + 1)) return undefined;
      return { told: `swapped with the next: ${told}`, text: lines.toSpliced(place, 2, next, line).join("\n") };
    }
    case "alter": {
      const now = alterLine(line, { lines, random });
      return now === undefined
        ? undefined
        : { told: `${told} is now ${now.trim()}`, text: withLine(lines, place, [now]) };
    }
  }
}

const FOREIGN = [
  "type filter hook forward priority 10; policy accept; tcp dport 3000 drop",
  "type filter hook forward priority -10; policy accept; ct state established drop",
  "type filter hook forward priority -10; policy drop; accept",
  "type filter hook input priority 10; policy accept; ct direction reply drop",
  "type filter hook prerouting priority -310; policy accept; meta l4proto tcp ct zone set 5",
  "type filter hook prerouting priority -310; policy accept; meta l4proto udp ct original zone set 5",
  "type filter hook output priority -310; policy accept; meta l4proto tcp notrack",
  "type filter hook prerouting priority -310; policy accept; iifname flannel.1 notrack",
  "type nat hook prerouting priority -150; policy accept; tcp dport 7070 dnat to 10.1.0.3:3000",
  "type nat hook postrouting priority 50; policy accept; ct status dnat masquerade",
  "type filter hook postrouting priority 90; policy accept; meta mark set meta mark | 0x4000",
  "type filter hook prerouting priority -120; policy accept; meta mark set meta mark & 0xffffbfff",
  "type filter hook prerouting priority -120; policy accept; meta priority set 1:2",
] as const;

/** A rule, or an element on a line of its own. */
function isChangeable(lines: readonly string[], place: number): boolean {
  const line = lines[place]?.trim() ?? "";
  if (isElement(line)) return true;
  if (
    line === "" ||
    /^(#|[{}]|table|delete|chain|set|map|type|typeof |flags|counter$|comment|elements|size|gc-)/.test(line)
  )
    return /^type .*hook/.test(line) || /^elements = \{.*\}$/.test(line) || /^timeout /.test(line);
  return true;
}

function isElement(line: string): boolean {
  return (
    /^\s*[0-9a-z:.\- /]+( comment "[^"]*")?( : [^;{}]*)?,?$/.test(line) &&
    /\d/.test(line) &&
    !/ (set|goto|jump|drop|accept) *$/.test(line)
  );
}

function withLine(lines: readonly string[], place: number, now: readonly string[]): string {
  return lines.toSpliced(place, 1, ...now).join("\n");
}

/** What may be said otherwise, each a pattern and what stands in its place. */
const ALTERATIONS: readonly (readonly [RegExp, (found: string) => string])[] = [
  [/ != /, () => " == "],
  [/ == /, () => " != "],
  [/\bdrop\b/, () => "accept"],
  [/\baccept\b/, () => "drop"],
  [/\breject\b.*/, () => "drop"],
  [/\bmasquerade( fully-random)?/, () => "accept"],
  [/\bsaddr\b/, () => "daddr"],
  [/\bdaddr\b/, () => "saddr"],
  [/0x0*4000\b/, () => "0x8000"],
  [/\bmod \d+/, (found) => `mod ${Math.max(1, Number(found.slice(4)) - 1)}`],
  [/\btimeout \d+s/, () => "timeout 1s"],
  [/\btimeout \d+s/, () => "timeout 9s"],
  [/\bnew\b/, () => "established"],
  [/\blocal\b(?! -)/, () => "unicast"],
  [/\b(update|add) @/, () => "delete @"],
  [/\bgoto\b/, () => "jump"],
  [/\btcp\b/, () => "udp"],
  [/\bpriority [-a-z0-9 +]+;/, () => "priority 300;"],
  [/policy accept/, () => "policy drop"],
  [/\. (3000|53|7070|443|80)\b/, (found) => `. ${Number(found.slice(2)) + 1}`],
  [/\b10\.1\.0\.[239]\b/, (found) => (found === "10.1.0.3" ? "10.1.0.2" : "10.1.0.3")],
  [/\b10\.2\.0\.[23]\b/, () => "10.1.0.2"],
  [/\b1:[0-9]+\b/, () => "2:0"],
  [/\b5:0\b/, () => "6:0"],
  [/\b0:[1-9c]\b/, () => "0:3"],
];

function alterLine(
  line: string,
  { lines, random }: { readonly lines: readonly string[]; readonly random: RandomSource },
): string | undefined {
  const chains = lines.flatMap((one) => /^\s*chain (\S+) \{/.exec(one)?.[1] ?? []);
  const sets = lines.flatMap((one) => /^\s*(?:set|map) (\S+) \{/.exec(one)?.[1] ?? []);
  const changes = [
    ...ALTERATIONS.flatMap(([pattern, by]) => (pattern.test(line) ? [() => line.replace(pattern, by)] : [])),
    // To where another rule leads; nft refuses what leads back to itself, and types that do not fit.
    ...(/(goto|jump) \S+/.test(line)
      ? [() => line.replace(/(goto|jump) [^\s,]+/, (found) => `${found.split(" ")[0]} ${random.pick(chains)}`)]
      : []),
    ...(/@\S+/.test(line) ? [() => line.replace(/@[^\s,]+/, () => `@${random.pick(sets)}`)] : []),
  ];
  if (changes.length === 0) return undefined;
  const now = random.pick(changes)();
  return now === line ? undefined : now;
}
