import { parseIpAddress } from "@svcproxy/topology";
import { type CompileContext, type Condition, NEVER } from "../../prove/compile/condition.ts";
import { formatExpression } from "../format-nft-rule.ts";
import type { DatumPart, NftElement, NftExpression, NftSet, NftSetReference, NftTable } from "../nft-rule-set.ts";
import { constantPart, type DynamicSet, type LookupReading, type PartReading, type Reading } from "./compiled-nft.ts";
import { openOf } from "./condition-parts.ts";
import { buildLookupTree, type Domain, type LookupTree } from "./lookup-tree.ts";
import { headerConditions } from "./read-conditions.ts";
import { CONNECTED } from "./read-ct-conditions.ts";

/** A single value of an expression, and what must hold for it to be there. */
interface Part {
  readonly conditions: readonly Condition[];
  readonly part: PartReading;
}

/** Turns the expressions of one table into readings; its sets and maps are sorted once. */
export class Readings {
  readonly #table: NftTable;
  readonly #context: CompileContext;
  readonly #trees = new Map<readonly NftElement[], Map<string, LookupTree>>();
  readonly #dynamic = new Map<string, DynamicSet>();
  readonly #seconds: ReadonlyMap<string, ReadonlySet<number | undefined>>;

  constructor(table: NftTable, context: CompileContext) {
    this.#table = table;
    this.#context = context;
    this.#seconds = secondsBySet(table);
  }

  of(expression: NftExpression): Reading {
    switch (expression.kind) {
      case "lookup":
        return this.lookup(expression.key, expression.map);
      case "literal":
        return { kind: "parts", conditions: [], parts: expression.parts.map(constantPart) };
      case "concat": {
        const parts = expression.parts.map((part) => this.#part(part));
        return {
          kind: "parts",
          conditions: parts.flatMap(({ conditions }) => conditions),
          parts: parts.map(({ part }) => part),
        };
      }
      default: {
        const { conditions, part } = this.#part(expression);
        return { kind: "parts", conditions, parts: [part] };
      }
    }
  }

  lookup(key: NftExpression, reference: NftSetReference): LookupReading {
    const reading = this.of(key);
    if (reference.kind === "anonymous")
      return {
        ...{ kind: "lookup", key: reading, dynamic: undefined, name: "a set", unread: undefined },
        ...this.trees(reading, reference.elements),
      };
    const name = `@${reference.name}`;
    const set = this.#table.sets.get(reference.name);
    const unread =
      set === undefined
        ? `the set ${reference.name} is not known`
        : set.unread === undefined
          ? undefined
          : `the set ${reference.name} is not all known: ${set.unread.because}`;
    const trees = this.trees(reading, set?.elements ?? []);
    const dynamic = set?.isDynamic === true ? this.dynamic(set) : undefined;
    return { kind: "lookup", key: reading, ...trees, dynamic, name, unread };
  }

  /** The elements of a set, sorted for keys that are read so. */
  trees(key: Reading, elements: readonly NftElement[]): Pick<LookupReading, "tree" | "treeBy"> {
    const [first] = elements.filter((element) => element.key.length > 0);
    const width = key.kind === "parts" ? key.parts.length : (first?.key.length ?? 0);
    const domains = Array.from({ length: width }, (_, at) =>
      domainOf(key.kind === "parts" ? key.parts[at] : undefined, first?.key[at]),
    );
    const known = this.#trees.get(elements) ?? new Map<string, LookupTree>();
    this.#trees.set(elements, known);
    const treeBy = (order: readonly number[]) => {
      const shape = `${domains.join(" ")} ${order.join(" ")}`;
      let tree = known.get(shape);
      if (tree === undefined) {
        tree = buildLookupTree(elements, { domains, order, space: this.#context.space });
        known.set(shape, tree);
      }
      return tree;
    };
    return { tree: treeBy([...domains.keys()]), treeBy };
  }

  dynamic(set: NftSet): DynamicSet {
    let known = this.#dynamic.get(set.name);
    if (known === undefined) {
      const { family, name } = this.#table;
      const seconds = [...(this.#seconds.get(set.name) ?? [])];
      known = {
        name: `${family} ${name} ${set.name}`,
        seconds: seconds.length === 1 ? seconds[0] : undefined,
        elements: set.elements,
        isMap: set.isMap,
      };
      this.#dynamic.set(set.name, known);
    }
    return known;
  }

  #part(expression: NftExpression): Part {
    const { space } = this.#context;
    switch (expression.kind) {
      case "payload":
        return this.#payload(expression);
      case "meta":
        return metaPart(expression, space.family);
      case "ct":
        return ctPart(expression, space.family);
      case "fib":
        return fibPart(expression);
      case "numgen": {
        const { mode, modulus, offset } = expression;
        if (modulus === 1) return always({ kind: "datum", datum: offset });
        return mode === "random" ? always({ kind: "draw", modulus, offset }) : unknownPart(expression, true);
      }
      case "jhash":
        return this.#hash(expression);
      case "bitwise":
        return this.#bitwise(expression);
      case "literal": {
        const [part, ...others] = expression.parts;
        return part === undefined || others.length > 0 ? unknownPart(expression) : always(constantPart(part));
      }
      default:
        return unknownPart(expression);
    }
  }

  #payload(expression: Extract<NftExpression, { kind: "payload" }>): Part {
    const { header, field } = expression;
    const conditions = headerConditions(header, this.#context);
    if (conditions === undefined) return unknownPart(expression);
    const of = (part: PartReading): Part => ({ conditions, part });
    switch (field) {
      case "saddr":
        return of({ kind: "field", field: "source", isTh: false });
      case "daddr":
        return of({ kind: "field", field: "destination", isTh: false });
      case "sport":
        return of({ kind: "field", field: "sourcePort", isTh: header === "th" });
      case "dport":
        return of({ kind: "field", field: "destinationPort", isTh: header === "th" });
      case "protocol":
      case "nexthdr":
        return of({ kind: "entered", field: "protocol" });
      default:
        return { ...unknownPart(expression), conditions };
    }
  }

  /** Only that two clients rarely share it is known of a wide hash of the client: it stands for the client. */
  #hash(expression: Extract<NftExpression, { kind: "jhash" }>): Part {
    const { of, modulus } = expression;
    const { conditions, part } = this.#part(of);
    const isSource = part.kind === "field" && part.field === "source";
    if (!isSource || modulus < WIDE) return { ...unknownPart(expression), conditions };
    return { conditions, part: { kind: "hashedSource" } };
  }

  #bitwise(expression: Extract<NftExpression, { kind: "bitwise" }>): Part {
    const { operator, left, right } = expression;
    const { conditions, part } = this.#part(left);
    const operand = right.kind === "literal" ? right.parts[0] : undefined;
    const isSimple = operator === "&" || operator === "|" || operator === "^";
    const hasBits = part.kind === "mark" || part.kind === "connectionMark" || part.kind === "priority";
    if (typeof operand !== "number" || !isSimple || !hasBits) return { ...unknownPart(expression), conditions };
    return { conditions, part: { ...part, operations: [...part.operations, { operator, operand }] } };
  }
}

const WIDE = 2 ** 31;

function always(part: PartReading): Part {
  return { conditions: [], part };
}

function unknownPart(expression: NftExpression, isVolatile = false): Part {
  const text = formatExpression(expression);
  return always({ kind: "unknown", open: openOf(text, { isVolatile: isVolatile || /random|numgen/.test(text) }) });
}

function metaPart(expression: Extract<NftExpression, { kind: "meta" }>, family: 4 | 6): Part {
  switch (expression.key) {
    case "l4proto":
      return always({ kind: "entered", field: "protocol" });
    case "mark":
    case "priority":
      return always({ kind: expression.key, operations: [] });
    case "iif":
    case "iifname":
      return always({ kind: "inInterface" });
    case "oif":
    case "oifname":
      return always({ kind: "outInterface" });
    case "nfproto":
      return always({ kind: "datum", datum: family === 4 ? "ipv4" : "ipv6" });
    case "protocol":
      return always({ kind: "datum", datum: family === 4 ? 0x0800 : 0x86dd });
    default:
      return unknownPart(expression);
  }
}

function ctPart(expression: Extract<NftExpression, { kind: "ct" }>, family: 4 | 6): Part {
  const { key, direction } = expression;
  if (key === "state") return always({ kind: "entered", field: "state" });
  const conditions = [CONNECTED];
  if (key === "mark") return { conditions, part: { kind: "connectionMark", operations: [] } };
  const fields = {
    saddr: "source",
    daddr: "destination",
    "proto-src": "sourcePort",
    "proto-dst": "destinationPort",
    protocol: "protocol",
  } as const;
  const [first = "", second = ""] = key.split(" ");
  if (second !== "" && first !== (family === 4 ? "ip" : "ip6"))
    return { ...unknownPart(expression), conditions: NEVER };
  const name = second === "" ? first : second;
  const field =
    name === "saddr" || name === "daddr" || name === "proto-src" || name === "proto-dst" || name === "protocol"
      ? fields[name]
      : undefined;
  if (field === undefined || (direction === "reply" && field !== "protocol"))
    return { ...unknownPart(expression), conditions };
  return { conditions, part: { kind: "connection", field, open: openOf(formatExpression(expression)) } };
}

function fibPart(expression: Extract<NftExpression, { kind: "fib" }>): Part {
  const { flags, result } = expression;
  if (result !== "type" || flags.length !== 1) return unknownPart(expression);
  return always({ kind: "fibType", field: flags[0] === "daddr" ? "destination" : "source" });
}

function domainOf(part: PartReading | undefined, sample: DatumPart | undefined): Domain {
  switch (part?.kind) {
    case "field":
    case "connection":
    case "entered":
      return part.field === "source" || part.field === "destination" ? "address" : "number";
    case "inInterface":
    case "outInterface":
    case "fibType":
      return "text";
    case "mark":
    case "connectionMark":
    case "priority":
    case "draw":
    case "hashedSource":
      return "number";
    default: {
      const datum = typeof sample === "object" ? sample.from : sample;
      if (typeof datum !== "string") return "number";
      return parseIpAddress(datum) === undefined ? "text" : "address";
    }
  }
}

/** How long what rules write stays, by set. */
function secondsBySet({ chains, sets }: NftTable): ReadonlyMap<string, ReadonlySet<number | undefined>> {
  const found = new Map<string, Set<number | undefined>>();
  for (const { rules } of chains) {
    for (const { statements } of rules) {
      for (const statement of statements) {
        if (statement.kind !== "update" || statement.operation === "delete") continue;
        const milliseconds = statement.timeoutMs ?? sets.get(statement.set)?.timeoutMs;
        const own = found.get(statement.set) ?? new Set();
        found.set(statement.set, own.add(milliseconds === undefined ? undefined : milliseconds / 1000));
      }
    }
  }
  return found;
}
