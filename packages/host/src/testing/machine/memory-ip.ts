import {
  addressWidth,
  cidrOf,
  familyOf,
  formatCidr,
  type IpAddress,
  parseCidr,
  parseIpAddress,
} from "@svcproxy/topology";
import type { ToolOutput } from "../../tools/run-tool.ts";

export interface MemoryLink {
  readonly name: string;
  /** `bridge`, `dummy`, ...; empty for loopback. */
  readonly kind: string;
  readonly group: string;
  readonly hasArp: boolean;
  isUp: boolean;
  readonly addresses: MemoryAddress[];
}

interface MemoryAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly metric?: number;
  readonly preferredLife: number;
}

interface MemoryRoute {
  readonly family: 4 | 6;
  readonly destination: string;
  readonly device: string;
  readonly protocol: string;
  readonly metric: number;
}

export interface MemoryIpOptions {
  /** What the kernel can make; default `dummy` and `bridge`. */
  readonly linkKinds: readonly string[];
  /** Without it all that changes something is refused. */
  readonly hasNetAdmin: boolean;
  readonly isIpv6Off: () => boolean;
  readonly onLink: (name: string) => void;
}

const FOREVER = 4294967295;
const NOT_PERMITTED = "RTNETLINK answers: Operation not permitted";
const FILE_EXISTS = "RTNETLINK answers: File exists";

/** What the kernel answers: JSON for a question, and why it refuses. */
type Answer = { readonly json: readonly unknown[] } | { readonly refusal: string } | undefined;

/**
 * Links, addresses and `local` routes in memory behind the command line of `ip`: those of its commands that svcproxy uses, answered and
 * refused as iproute2 6.1 on a kernel does.
 */
export class MemoryIp {
  readonly links: MemoryLink[] = [
    {
      ...{ name: "lo", kind: "", group: "default", hasArp: true, isUp: true },
      addresses: [newAddress("127.0.0.1/8"), newAddress("::1/128")],
    },
  ];
  readonly routes: MemoryRoute[] = [];
  readonly #options: MemoryIpOptions;

  constructor(options: MemoryIpOptions) {
    this.#options = options;
  }

  run(args: readonly string[], input: string): ToolOutput {
    if (args.includes("-batch")) return this.#runBatch(input, { goesOn: args.includes("-force") });
    const answer = this.#carryOut(args);
    if (answer === undefined) return { exitCode: 0, stdout: "", stderr: "" };
    if ("json" in answer) return { exitCode: 0, stdout: `${JSON.stringify(answer.json)}\n`, stderr: "" };
    return { exitCode: answer.refusal.startsWith("RTNETLINK") ? 2 : 1, stdout: "", stderr: `${answer.refusal}\n` };
  }

  #runBatch(input: string, { goesOn }: { readonly goesOn: boolean }): ToolOutput {
    const complaints: string[] = [];
    for (const [index, line] of input.split("\n").entries()) {
      if (line.trim() === "") continue;
      const answer = this.#carryOut(line.trim().split(/\s+/));
      if (answer === undefined || "json" in answer) continue;
      complaints.push(answer.refusal, `Command failed -:${index + 1}`);
      if (!goesOn) break;
    }
    const isDone = complaints.length === 0;
    return { exitCode: isDone ? 0 : 1, stdout: "", stderr: isDone ? "" : `${complaints.join("\n")}\n` };
  }

  #carryOut(args: readonly string[]): Answer {
    const words = args.filter((word) => !word.startsWith("-"));
    const family = args.includes("-6") ? 6 : args.includes("-4") ? 4 : undefined;
    const [object = "", verb = "show", ...rest] = words;
    if (verb === "show") return this.#show(object, { rest, family, isNumeric: args.includes("-N") });
    if (!this.#options.hasNetAdmin) return { refusal: NOT_PERMITTED };
    switch (`${object} ${verb}`) {
      case "link add":
        return this.#addLink(rest);
      case "link set":
        return this.#setLink(rest);
      case "link delete":
        return this.#deleteLink(rest);
      case "address add":
        return this.#addAddress(rest);
      case "address del":
        return this.#deleteAddress(rest);
      case "route add":
        return this.#addRoute(rest, family ?? 4);
      case "route del":
        return this.#deleteRoute(rest, family ?? 4);
      default:
        return { refusal: `Command "${verb}" is unknown, try "ip ${object} help".` };
    }
  }

  #show(
    object: string,
    { rest, family, isNumeric }: { rest: readonly string[]; family: 4 | 6 | undefined; isNumeric: boolean },
  ): Answer {
    switch (object) {
      case "link": {
        const kind = after(rest, "type");
        // Of those that the filter leaves out an empty object is printed.
        return { json: this.links.map((link) => (kind === undefined || link.kind === kind ? showLink(link) : {})) };
      }
      case "addr":
      case "address":
        return { json: this.links.map((link) => ({ ...showLink(link), addr_info: link.addresses.map(showAddress) })) };
      case "route":
        return { json: this.#localRoutes(family ?? 4, isNumeric) };
      case "rule":
        return {
          json: [
            { priority: 0, src: "all", table: "local" },
            { priority: 32766, src: "all", table: "main" },
          ],
        };
      default:
        return { refusal: `Object "${object}" is unknown, try "ip help".` };
    }
  }

  #localRoutes(family: 4 | 6, isNumeric: boolean): readonly unknown[] {
    const type = isNumeric ? "2" : "local";
    const ofKernel = this.links.flatMap(({ name, addresses }) =>
      addresses
        .filter(({ address }) => familyOf(address) === family)
        .flatMap(({ address, prefixLength }) => {
          const route = { type, dev: name, table: "local", protocol: isNumeric ? "2" : "kernel" };
          const block = { ...route, dst: formatCidr(cidrOf(address, prefixLength)) };
          return address.startsWith("127.") ? [block, { ...route, dst: address }] : [{ ...route, dst: address }];
        }),
    );
    const added = this.routes
      .filter((route) => route.family === family)
      .map(({ destination, device, protocol, metric }) => ({
        ...{ type, dst: destination, dev: device, table: "local", protocol, metric },
      }));
    return [...ofKernel, ...added];
  }

  #addLink(rest: readonly string[]): Answer {
    const [name = ""] = rest;
    const kind = after(rest, "type") ?? "";
    if (this.links.some((link) => link.name === name)) return { refusal: FILE_EXISTS };
    if (!this.#options.linkKinds.includes(kind)) return { refusal: "Error: Unknown device type." };
    const group = after(rest, "group") ?? "default";
    this.links.push({ name, kind, group, hasArp: after(rest, "arp") !== "off", isUp: false, addresses: [] });
    this.#options.onLink(name);
    return undefined;
  }

  #setLink([name = "", ...settings]: readonly string[]): Answer {
    const link = this.links.find((candidate) => candidate.name === name);
    if (link === undefined) return { refusal: `Cannot find device "${name}"` };
    if (settings.includes("up")) link.isUp = true;
    if (settings.includes("down")) link.isUp = false;
    return undefined;
  }

  #deleteLink([name = ""]: readonly string[]): Answer {
    const index = this.links.findIndex((link) => link.name === name);
    if (index < 0) return { refusal: `Cannot find device "${name}"` };
    this.links.splice(index, 1);
    return undefined;
  }

  #addAddress(rest: readonly string[]): Answer {
    const [text = ""] = rest;
    const device = after(rest, "dev") ?? "";
    const link = this.links.find(({ name }) => name === device);
    if (parseCidr(text) === undefined) return { refusal: `Error: any valid prefix is expected rather than "${text}".` };
    if (link === undefined) return { refusal: `Cannot find device "${device}"` };
    const metric = after(rest, "metric");
    const added = newAddress(text, {
      ...(metric === undefined ? {} : { metric: Number(metric) }),
      preferredLife: Number(after(rest, "preferred_lft") ?? FOREVER),
    });
    if (familyOf(added.address) === 6 && this.#options.isIpv6Off())
      return { refusal: "Error: IPv6 is disabled on this device." };
    if (link.addresses.some(({ address }) => address === added.address))
      return { refusal: `Error: ipv${familyOf(added.address)}: address already assigned.` };
    link.addresses.push(added);
    return undefined;
  }

  #deleteAddress(rest: readonly string[]): Answer {
    const [text = ""] = rest;
    const device = after(rest, "dev") ?? "";
    const link = this.links.find(({ name }) => name === device);
    if (link === undefined) return { refusal: `Cannot find device "${device}"` };
    const { address } = newAddress(text);
    const index = link.addresses.findIndex((candidate) => candidate.address === address);
    if (index < 0) return { refusal: `Error: ipv${familyOf(address)}: address not found.` };
    link.addresses.splice(index, 1);
    return undefined;
  }

  #addRoute(rest: readonly string[], family: 4 | 6): Answer {
    const route = readRoute(rest, family);
    if (this.#findRoute(route) >= 0) return { refusal: FILE_EXISTS };
    this.routes.push(route);
    return undefined;
  }

  #deleteRoute(rest: readonly string[], family: 4 | 6): Answer {
    const index = this.#findRoute(readRoute(rest, family));
    if (index < 0) return { refusal: "RTNETLINK answers: No such process" };
    this.routes.splice(index, 1);
    return undefined;
  }

  #findRoute({ family, destination, metric }: MemoryRoute): number {
    return this.routes.findIndex(
      (route) => route.family === family && route.destination === destination && route.metric === metric,
    );
  }
}

/** @param rest `local CIDR dev NAME table local proto N metric N`: routes of other types are not known here */
function readRoute(rest: readonly string[], family: 4 | 6): MemoryRoute {
  const [type, destination = ""] = rest;
  if (type !== "local" || after(rest, "table") !== "local") throw new TypeError(`not a local route: ${rest.join(" ")}`);
  return {
    ...{ family, destination, device: after(rest, "dev") ?? "", protocol: after(rest, "proto") ?? "boot" },
    metric: Number(after(rest, "metric") ?? 0),
  };
}

function newAddress(text: string, options: Partial<Omit<MemoryAddress, "address">> = {}): MemoryAddress {
  const [host = "", length] = text.split("/");
  const address = parseIpAddress(host);
  if (address === undefined) throw new TypeError(`not an address: ${text}`);
  const prefixLength = length === undefined ? addressWidth(familyOf(address)) : Number(length);
  return { preferredLife: FOREVER, ...options, address, prefixLength };
}

function after(words: readonly string[], word: string): string | undefined {
  const index = words.indexOf(word);
  return index < 0 ? undefined : words[index + 1];
}

function showLink({ name, kind, group, hasArp, isUp }: MemoryLink): object {
  const isLoopback = kind === "";
  return {
    ifname: name,
    flags: [...(isLoopback ? ["LOOPBACK"] : []), ...(hasArp ? [] : ["NOARP"]), ...(isUp ? ["UP", "LOWER_UP"] : [])],
    group,
    link_type: isLoopback ? "loopback" : "ether",
    ...(isLoopback ? {} : { linkinfo: { info_kind: kind } }),
  };
}

function showAddress({ address, prefixLength, metric, preferredLife }: MemoryAddress): object {
  const isHost = address.startsWith("127.") || address === "::1";
  return {
    family: familyOf(address) === 4 ? "inet" : "inet6",
    ...{ local: address, prefixlen: prefixLength },
    ...(metric === undefined ? {} : { metric }),
    scope: isHost ? "host" : "global",
    ...{ valid_life_time: FOREVER, preferred_life_time: preferredLife },
  };
}
