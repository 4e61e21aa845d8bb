import type { HostRules } from "../../hooks/host-rules.ts";

/**
 * Two rule sets without the chains at devices and bridges that both have alike: what these do to frames makes no difference
 * between the two.
 */
export function withoutSharedDeviceChains(a: HostRules, b: HostRules): readonly [HostRules, HostRules] {
  const [textsOfA, textsOfB] = [deviceTexts(a), deviceTexts(b)];
  const areAlike =
    textsOfA.size === textsOfB.size && [...textsOfA].every(([table, text]) => textsOfB.get(table) === text);
  return areAlike ? [withoutDevices(a), withoutDevices(b)] : [a, b];
}

function deviceTexts({ nft, unread }: HostRules): ReadonlyMap<string, string> {
  const names = new Set(unread.flatMap(({ table, at }) => (at === undefined ? [] : [table])));
  return new Map(
    nft.tables.flatMap(({ family, name, chains, sets }) => {
      const table = `${family} ${name}`;
      const rules = chains.map((chain) => [chain.name, chain.base, chain.rules.map(({ text }) => text)]);
      return names.has(table) ? [[table, JSON.stringify([rules, [...sets.values()]])]] : [];
    }),
  );
}

function withoutDevices(rules: HostRules): HostRules {
  return { ...rules, unread: rules.unread.filter(({ at }) => at === undefined) };
}
