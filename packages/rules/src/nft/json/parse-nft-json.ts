import { InputError } from "@svcproxy/topology";
import { formatStatements } from "../format-nft-rule.ts";
import { withHiddenFamily } from "../hidden-family.ts";
import {
  NFT_FAMILIES,
  NFT_HOOKS,
  type NftBase,
  type NftChain,
  type NftFamily,
  type NftRule,
  type NftRuleSet,
  type NftSet,
  type NftStatement,
  type NftUnread,
} from "../nft-rule-set.ts";
import { TableBuilder } from "../table-builder.ts";
import type { ParseNftOptions } from "../text/parse-nft-text.ts";
import { elementsOf } from "./json-parts.ts";
import { statementOf } from "./json-statement.ts";
import {
  isObject,
  JsonFault,
  type JsonObject,
  numberIn,
  objectIn,
  onlyProperty,
  shown,
  textIn,
  textsIn,
} from "./json-value.ts";

/**
 * Reads what `nft -j list ruleset` prints. A rule that is not understood is kept, from the statement on that is not.
 *
 * @throws InputError NFT_SYNTAX where it is not JSON of nft
 */
export function parseNftJson(text: string, { file = "rules" }: ParseNftOptions = {}): NftRuleSet {
  try {
    return new JsonReader().read(parsed(text));
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    const message = `Cannot read the nftables rules: ${error.message}`;
    const hint = "Save them with: sudo nft -j list ruleset > rules.json";
    throw new InputError([{ severity: "error", code: "NFT_SYNTAX", message, at: { file, line: 1, column: 1 }, hint }]);
  }
}

function parsed(text: string): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new JsonFault(`it is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  const list = isObject(value) ? value["nftables"] : undefined;
  if (!Array.isArray(list)) throw new JsonFault("it has no list `nftables`");
  return list;
}

class JsonReader {
  readonly #tables = new Map<string, TableBuilder>();
  readonly #rules = new Map<TableBuilder, Map<string, NftRule[]>>();
  #version: string | undefined;

  read(list: readonly unknown[]): NftRuleSet {
    const late: (() => void)[] = [];
    for (const item of list) {
      const [kind, content] = onlyProperty(item);
      // Rules name sets and chains, and these each other: they are read when all tables are known.
      const read = () => this.#readItem(kind, objectIn(content, kind));
      if (kind === "rule") late.push(read);
      else read();
    }
    for (const read of late) read();
    for (const [table, chains] of this.#rules) for (const [name, rules] of chains) table.addChain({ name, rules });
    const version = this.#version;
    return {
      tables: [...this.#tables.values()].map((table) => table.build()),
      ...(version === undefined ? {} : { version }),
    };
  }

  #readItem(kind: string, item: JsonObject): void {
    switch (kind) {
      case "metainfo":
        this.#version = typeof item["version"] === "string" ? item["version"] : undefined;
        return;
      case "table": {
        const family = familyIn(item);
        const table = new TableBuilder(family, textIn(item, "name"));
        table.isDormant = textsIn(item["flags"]).includes("dormant");
        this.#tables.set(`${family} ${table.name}`, table);
        return;
      }
      case "chain":
        this.#tableOf(item).addChain(chainOf(item));
        return;
      case "set":
      case "map":
        this.#tableOf(item).addSet(setOf(item, { isMap: kind === "map", version: this.#version }));
        return;
      case "rule":
        this.#readRule(item);
        return;
      case "counter":
      case "quota":
      case "limit":
      case "ct helper":
      case "ct timeout":
      case "ct expectation":
      case "secmark":
      case "synproxy":
      case "flowtable":
      case "tunnel":
        return;
      default:
        if (typeof item["table"] === "string")
          this.#tableOf(item).addUnread(shown({ [kind]: item }), "it is not known");
    }
  }

  #tableOf(item: JsonObject): TableBuilder {
    const key = `${familyIn(item)} ${textIn(item, "table")}`;
    const table = this.#tables.get(key);
    if (table === undefined) throw new JsonFault(`the table ${key} is not listed`);
    return table;
  }

  #readRule(item: JsonObject): void {
    const table = this.#tableOf(item);
    const statements: NftStatement[] = [];
    const list: readonly unknown[] = Array.isArray(item["expr"]) ? item["expr"] : [];
    for (const one of list) {
      try {
        statements.push(statementOf(one, (name) => table.setOf(name)));
      } catch (error) {
        if (!(error instanceof JsonFault)) throw error;
        statements.push({ kind: "unread", text: shown(one), because: error.message });
        break;
      }
    }
    const comment = typeof item["comment"] === "string" ? item["comment"] : undefined;
    const text = `${formatStatements(statements)}${comment === undefined ? "" : ` comment "${comment}"`}`;
    const chains = this.#rules.get(table) ?? new Map<string, NftRule[]>();
    this.#rules.set(table, chains);
    const chain = textIn(item, "chain");
    const rules = chains.get(chain) ?? [];
    chains.set(chain, rules);
    rules.push({
      statements: withHiddenFamily(table.family, statements),
      text,
      ...(comment === undefined ? {} : { comment }),
    });
  }
}

function familyIn(item: JsonObject): NftFamily {
  const family = NFT_FAMILIES.find((one) => one === item["family"]);
  if (family === undefined) throw new JsonFault(`${shown(item["family"])} is not a family`);
  return family;
}

function chainOf(item: JsonObject): NftChain {
  const name = textIn(item, "name");
  if (item["hook"] === undefined) return { name, rules: [] };
  const type = (["filter", "nat", "route"] as const).find((one) => one === item["type"]);
  const hook = NFT_HOOKS.find((one) => one === item["hook"]);
  const priority = numberIn(item, "prio");
  if (type === undefined || hook === undefined || priority === undefined)
    throw new JsonFault(`the base chain ${shown(item)} is not known`);
  const devices = textsIn(item["dev"]);
  const base: NftBase = {
    type,
    hook,
    priority,
    policy: item["policy"] === "drop" ? "drop" : "accept",
    ...(devices.length === 0 ? {} : { devices }),
  };
  return { name, base, rules: [] };
}

function setOf(item: JsonObject, { isMap, version }: { isMap: boolean; version: string | undefined }): NftSet {
  const keyTypes = textsIn(item["type"]);
  // A concatenation is a list for a key, and one text for data.
  const dataTypes = isMap ? textsIn(item["map"]).flatMap((text) => text.split(" . ")) : [];
  const flags = textsIn(item["flags"]);
  const timeout = numberIn(item, "timeout");
  const size = numberIn(item, "size");
  const name = textIn(item, "name");
  const read = readElements(item["elem"], { keyTypes, dataTypes, isMap });
  const mayBeWritten = isMap && dataTypes[0] !== "verdict" && (size !== undefined || flags.includes("timeout"));
  const hidden = mayBeWritten && hidesMapUpdates(version) ? hiddenUpdates(name, version) : undefined;
  const unread = hidden ?? read.unread;
  return {
    name,
    isMap,
    keyTypes,
    dataTypes,
    flags,
    ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
    ...(size === undefined ? {} : { size }),
    elements: read.elements,
    isDynamic: flags.includes("dynamic") || hidden !== undefined,
    ...(unread === undefined ? {} : { unread }),
  };
}

function readElements(
  value: unknown,
  types: { keyTypes: readonly string[]; dataTypes: readonly string[]; isMap: boolean },
): Pick<NftSet, "elements" | "unread"> {
  if (value === undefined) return { elements: [] };
  try {
    return { elements: elementsOf(value, types) };
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    return { elements: [], unread: { text: shown(value), because: error.message } };
  }
}

/** Since 1.1.1 nft's JSON has `update @map { key : data }`; before, rules lack it without a word. */
function hidesMapUpdates(version: string | undefined): boolean {
  const [major = 0, minor = 0, patch = 0] = (version ?? "0").split(".").map(Number);
  return major < 1 || (major === 1 && (minor < 1 || (minor === 1 && patch < 1)));
}

function hiddenUpdates(name: string, version: string | undefined): NftUnread {
  return {
    text: `update @${name}`,
    because: `the JSON of nft ${version ?? "of unknown version"} leaves out which rules write a map: give what \`nft list ruleset\` prints`,
  };
}
