import type { Path } from "./fault-report.ts";
import type { TopologyFile } from "./topology-file.ts";
import type { Found, Spot, ValueReader } from "./value-reader.ts";

/** What is left of a value after checkShape took out the parts with faults: anything may be missing, but what is there has its type. */
export type Partly<T> = T extends readonly (infer Item)[]
  ? readonly (Partly<Item> | undefined)[]
  : T extends object
    ? { readonly [Key in keyof T]?: Partly<T[Key]> | undefined }
    : T;

export type RawTopology = Partly<TopologyFile>;
export type RawHost = Partly<TopologyFile["hosts"][number]>;
export type RawPod = Partly<NonNullable<TopologyFile["hosts"][number]["pods"]>[number]>;
export type RawService = Partly<NonNullable<TopologyFile["services"]>[number]>;
export type RawServicePort = Partly<NonNullable<TopologyFile["services"]>[number]["ports"][number]>;
export type RawNode = Partly<NonNullable<TopologyFile["node"]>>;

/** The items that are there, each with its place in the list as written. */
export function entriesOf<Item>(list: readonly (Item | undefined)[] | undefined): readonly (readonly [number, Item])[] {
  const entries: [number, Item][] = [];
  for (const [index, item] of (list ?? []).entries()) if (item !== undefined) entries.push([index, item]);
  return entries;
}

/** The texts under a key in the singular or in the plural; both at once are a fault. */
export function allOf<Single extends string, Many extends string>(
  reader: ValueReader,
  raw: { readonly [Key in Single]?: string | undefined } & {
    readonly [Key in Many]?: readonly (string | undefined)[] | undefined;
  },
  { single, many, at }: { single: Single; many: Many; at: (...rest: Path) => Spot },
): readonly Found<string>[] {
  const one: string | undefined = raw[single];
  const several: readonly (string | undefined)[] | undefined = raw[many];
  if (one !== undefined && several !== undefined) {
    reader.error(
      "CONFLICTING_KEYS",
      at(many),
      `it has both \`${single}\` and \`${many}\``,
      `Put all of them into \`${many}\``,
    );
  }
  if (several === undefined) return one === undefined ? [] : [{ value: one, spot: at(single) }];
  return entriesOf(several).map(([index, value]) => ({ value, spot: at(many, index) }));
}
