import type { Cidr, IpAddress } from "@svcproxy/topology";
import { type Fault, InputError, parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../match.ts";
import { protocolName } from "../text/protocol-names.ts";

/** A kernel set of addresses, ports and the like, with its members. */
export interface IpSet {
  /** `hash:ip,port`, `bitmap:port`, `list:set`, … */
  readonly type: string;
  readonly members: readonly IpSetMember[];
}

export interface IpSetMember {
  /** One element a dimension of the set's type. */
  readonly elements: readonly IpSetElement[];
  /** An exception to a wider member. */
  readonly noMatch: boolean;
}

export type IpSetElement =
  | { readonly kind: "net"; readonly cidr: Cidr }
  | { readonly kind: "range"; readonly from: IpAddress; readonly to: IpAddress }
  /** `protocol` is undefined where the set holds plain ports. */
  | { readonly kind: "port"; readonly protocol?: string; readonly ports: NumberRange }
  | { readonly kind: "interface"; readonly name: string }
  /** Another set's name, a MAC, a mark: kept as written. */
  | { readonly kind: "text"; readonly text: string };

/**
 * Reads what `ipset save` prints. Options of a set or a member that do not change what it holds are passed over.
 *
 * @throws InputError IPSET_INVALID with every line that is none of `create` and `add`
 */
export function parseIpSets(text: string, { file }: { readonly file: string }): Readonly<Record<string, IpSet>> {
  const sets = new Map<string, { type: string; members: IpSetMember[] }>();
  const faults: Fault[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const [command, name, what, ...options] = line.trim().split(/\s+/);
    if (command === undefined || command === "" || command.startsWith("#")) continue;
    const set = sets.get(name ?? "");
    if (command === "create" && name !== undefined && what !== undefined) sets.set(name, { type: what, members: [] });
    else if (command === "add" && set !== undefined && what !== undefined)
      set.members.push({ elements: readElements(set.type, what), noMatch: options.includes("nomatch") });
    else if (command !== "COMMIT" && command !== "flush")
      faults.push({
        severity: "error",
        code: "IPSET_INVALID",
        message: `Cannot read line ${index + 1} of the sets: ${JSON.stringify(line)} is neither \`create\` nor an \`add\` to a set created before`,
        hint: "`ipset save` prints them",
        at: { file, line: index + 1, column: 1 },
      });
  }
  const [first, ...rest] = faults;
  if (first !== undefined) throw new InputError([first, ...rest]);
  return Object.fromEntries(sets);
}

function readElements(type: string, text: string): readonly IpSetElement[] {
  const kinds = type.slice(type.indexOf(":") + 1).split(",");
  return text.split(",").map((part, index) => readElement(kinds[index] ?? "", part));
}

function readElement(kind: string, text: string): IpSetElement {
  switch (kind) {
    case "ip":
    case "net":
      return readAddresses(text) ?? { kind: "text", text };
    case "port":
      return readPorts(text) ?? { kind: "text", text };
    case "iface":
      return { kind: "interface", name: text };
    default:
      return { kind: "text", text };
  }
}

function readAddresses(text: string): IpSetElement | undefined {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return { kind: "net", cidr };
  const [from, to] = text.split("-").map(parseIpAddress);
  return from !== undefined && to !== undefined ? { kind: "range", from, to } : undefined;
}

/** `80`, `tcp:80`, `8000-8010`. */
function readPorts(text: string): IpSetElement | undefined {
  const parts = /^(?:([a-z0-9-]+):)?(\d{1,5})(?:-(\d{1,5}))?$/i.exec(text);
  if (parts === null) return undefined;
  const protocol = parts[1] === undefined ? undefined : protocolName(parts[1]);
  const from = Number(parts[2]);
  return {
    kind: "port",
    ...(protocol === undefined ? {} : { protocol }),
    ports: { from, to: parts[3] === undefined ? from : Number(parts[3]) },
  };
}
