import { type Machine, runIp } from "@svcproxy/host";
import { type Cidr, type IpAddress, parseCidr, parseIpAddress } from "@svcproxy/topology";
import { parseRows, rows, text } from "./ip-json.ts";
import { VIP_MARK } from "./vip-mark.ts";

/** What is local in this network namespace, and what of it is ours. */
export interface LocalAddresses {
  readonly addresses: readonly DeviceAddress[];
  /** Blocks that a `local` route makes local. */
  readonly ranges: readonly LocalRange[];
  /** Set where `svcproxy0` is there. */
  readonly vipDevice?: { readonly ours: boolean };
  /** False where `ip` could not be asked: then ranges and owners are not known. */
  readonly complete: boolean;
}

export interface DeviceAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly device: string;
  readonly ours: boolean;
}

export interface LocalRange {
  readonly range: Cidr;
  readonly device: string;
  readonly ours: boolean;
  /** Ours, and `net.ipv6.ip_nonlocal_bind` was 0 before. */
  readonly nonlocalBindWasOff: boolean;
}

/** RTPROT_KERNEL as `ip -N` prints it. */
const KERNEL_PROTOCOL = "2";

/** Asks the kernel what is local. Without a usable `ip` command it falls back on the addresses that Node sees. */
export async function readLocalAddresses(machine: Machine): Promise<LocalAddresses> {
  const links = await runIp(machine, ["-json", "address", "show"]);
  if (links.kind !== "done") return { addresses: addressesThatNodeSees(machine), ranges: [], complete: false };
  const ranges: LocalRange[] = [];
  for (const family of ["-4", "-6"] as const) {
    const routes = await runIp(machine, [
      family,
      "-N",
      "-details",
      "-json",
      "route",
      "show",
      "table",
      "local",
      "type",
      "local",
    ]);
    if (routes.kind === "done") ranges.push(...readRanges(routes.stdout)); // a kernel without IPv6 has no such table
  }
  const { addresses, vipDevice } = readLinks(links.stdout);
  return { addresses, ranges, complete: true, ...(vipDevice === undefined ? {} : { vipDevice }) };
}

function readLinks(json: string): Pick<LocalAddresses, "addresses" | "vipDevice"> {
  const addresses: DeviceAddress[] = [];
  let vipDevice: LocalAddresses["vipDevice"];
  for (const link of parseRows(json)) {
    const device = text(link["ifname"]);
    if (device === VIP_MARK.device) vipDevice = { ours: text(link["group"]) === VIP_MARK.deviceGroup };
    for (const row of rows(link["addr_info"])) {
      const address = parseIpAddress(text(row["local"]));
      const prefixLength = row["prefixlen"];
      if (address === undefined || typeof prefixLength !== "number") continue;
      addresses.push({ address, prefixLength, device, ours: row["metric"] === VIP_MARK.addressMetric });
    }
  }
  return { addresses, ...(vipDevice === undefined ? {} : { vipDevice }) };
}

function readRanges(json: string): readonly LocalRange[] {
  return parseRows(json).flatMap((row) => {
    const destination = text(row["dst"]);
    const range = parseCidr(destination);
    const protocol = text(row["protocol"]);
    // The kernel makes one such route for each address; those are known already.
    if (range === undefined || (protocol === KERNEL_PROTOCOL && !destination.includes("/"))) return [];
    const ours = protocol === VIP_MARK.routeProtocol;
    const nonlocalBindWasOff = ours && row["metric"] === VIP_MARK.routeMetric.nonlocalBindWasOff;
    return [{ range, device: text(row["dev"]), ours, nonlocalBindWasOff }];
  });
}

function addressesThatNodeSees(machine: Machine): readonly DeviceAddress[] {
  return machine.readAddresses().addresses.map(({ device, address, prefixLength }) => ({
    ...{ device, address, prefixLength },
    ours: false,
  }));
}
