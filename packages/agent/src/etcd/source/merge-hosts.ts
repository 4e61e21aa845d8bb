import type { InputProblem, LoadedEntry } from "@svcproxy/topology";
import type { FlannelHost } from "./flannel-hosts.ts";

export interface MergedHosts {
  readonly entries: readonly LoadedEntry[];
  readonly problems: readonly InputProblem[];
}

/**
 * Hosts as flannel has them, joined with those that have an entry: one with the same address or the same podCIDR is the same host, and what
 * its entry does not say, flannel does. The rest are hosts of their own, named after their address.
 *
 * @param own entries of hosts
 */
export function mergeHosts(own: readonly LoadedEntry[], flannel: readonly FlannelHost[]): MergedHosts {
  const merged = new Map(own.map((entry) => [entry, entry]));
  const added: LoadedEntry[] = [];
  const problems: InputProblem[] = [];
  const claims = new Map<string, LoadedEntry>();
  for (const entry of own) {
    for (const text of [...texts(entry, "address", "addresses"), ...texts(entry, "podCIDR", "podCIDRs")])
      claims.set(text, entry);
  }
  for (const host of flannel) {
    const entry = [...host.addresses, ...host.podCIDRs]
      .map((text) => claims.get(text))
      .find((found) => found !== undefined);
    if (entry === undefined) added.push(entryOf(host));
    else {
      const whole = withMissing(merged.get(entry) ?? entry, host);
      merged.set(entry, whole);
      problems.push(...differences(whole, host));
    }
  }
  return { entries: [...merged.values(), ...added], problems };
}

function entryOf({ stored, addresses, podCIDRs }: FlannelHost): LoadedEntry {
  const [name = ""] = addresses;
  const value = { addresses, podCIDRs };
  const source = { file: `${stored.key} (revision ${stored.modRevision})`, text: stored.value.toString("utf8") };
  return { key: { kind: "host", name }, document: { source, index: 0, value }, value };
}

function withMissing(entry: LoadedEntry, { addresses, podCIDRs }: FlannelHost): LoadedEntry {
  const { value } = entry;
  const more = {
    ...(texts(entry, "address", "addresses").length === 0 ? { addresses } : {}),
    ...(texts(entry, "podCIDR", "podCIDRs").length === 0 ? { podCIDRs } : {}),
  };
  return { ...entry, value: { ...value, ...more } };
}

/** Where the entry says one thing and flannel another: packets go where flannel says. */
function differences(entry: LoadedEntry, { stored, addresses, podCIDRs }: FlannelHost): readonly InputProblem[] {
  const name = entry.key.kind === "host" ? entry.key.name : "";
  const pairs = [
    { said: texts(entry, "address", "addresses"), meant: addresses, what: "address" },
    { said: texts(entry, "podCIDR", "podCIDRs"), meant: podCIDRs, what: "podCIDR" },
  ];
  return pairs.flatMap(({ said, meant, what }) => {
    if (meant.every((text) => said.includes(text))) return [];
    const text = `Host ${JSON.stringify(name)} has ${what} ${said.join(", ")} by its entry, and ${meant.join(", ")} by flannel's ${stored.key}; its entry counts`;
    return [{ code: "FLANNEL_LEASE", severity: "warning", subject: `host ${name}`, text }] as const;
  });
}

function texts({ value }: LoadedEntry, single: string, many: string): readonly string[] {
  const listed = value[many];
  const all: readonly unknown[] = Array.isArray(listed) ? listed : [value[single]];
  return all.filter((text) => typeof text === "string");
}
