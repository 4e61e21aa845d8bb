import type { SubjectPath } from "../subject-path.ts";
import type { Found, ValueReader } from "../value-reader.ts";
import type { TopologyFile } from "./topology-file.ts";

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

/** What `read` makes of the items that are there, each with its place in the list as written; undefined is left out. */
export function mapItems<Item, Result>(
  list: readonly (Item | undefined)[] | undefined,
  read: (item: Item, index: number) => Result | undefined,
): Result[] {
  const results: Result[] = [];
  list?.forEach((item, index) => {
    const result = item === undefined ? undefined : read(item, index);
    if (result !== undefined) results.push(result);
  });
  return results;
}

/** The texts under a key in the singular or in the plural; both at once are a fault. */
export function allOf<Single extends string, Many extends string>(
  reader: ValueReader,
  raw: { readonly [Key in Single]?: string | undefined } & {
    readonly [Key in Many]?: readonly (string | undefined)[] | undefined;
  },
  { single, many, where }: { single: Single; many: Many; where: SubjectPath },
): readonly Found<string>[] {
  const one: string | undefined = raw[single];
  const several: readonly (string | undefined)[] | undefined = raw[many];
  if (one !== undefined && several !== undefined) {
    reader.error(
      "CONFLICTING_KEYS",
      where.at(many),
      `it has both \`${single}\` and \`${many}\``,
      `Put all of them into \`${many}\``,
    );
  }
  if (several === undefined) return one === undefined ? [] : [{ value: one, where: where.at(single) }];
  return mapItems(several, (value, index) => ({ value, where: where.at(many).at(index) }));
}
