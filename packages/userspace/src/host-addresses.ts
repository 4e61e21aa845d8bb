import { networkInterfaces } from "node:os";
import { type IpAddress, parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { HostAddresses } from "./policy/frontend-spec.ts";

export interface LocalAddresses extends HostAddresses {
  /** Every address of every interface: a client with one of them is this host. */
  readonly all: readonly IpAddress[];
  /** Those of them that other machines can dial, but for VIPs. */
  readonly own: readonly IpAddress[];
}

/** The addresses of this machine as they are now. */
export function readLocalAddresses(
  { vipDevices }: { readonly vipDevices: readonly string[] },
  machine: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): LocalAddresses {
  const all: IpAddress[] = [];
  const own: IpAddress[] = [];
  const interfaces: { name: string; cidr: NonNullable<ReturnType<typeof parseCidr>> }[] = [];
  for (const [name, entries = []] of Object.entries(machine)) {
    for (const { address: text, cidr: block, internal } of entries) {
      const address = parseIpAddress(text);
      const cidr = parseCidr(block ?? "");
      if (address === undefined) continue;
      all.push(address);
      if (vipDevices.includes(name)) continue; // VIPs are the plan's
      if (cidr !== undefined && !internal && !isLinkLocal(address)) interfaces.push({ name, cidr });
      // But lo may have others, which are the host's like any. A link-local address is of no use without its interface.
      if (!isLoopback(address) && !isLinkLocal(address)) own.push(address);
    }
  }
  return { all, own, interfaces };
}

function isLoopback(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}

function isLinkLocal(address: IpAddress): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/.test(address);
}
