import {
  addressWidth,
  type Family,
  familyOf,
  formatCidr,
  type IpAddress,
  listNames,
  type Problem,
} from "@svcproxy/topology";
import { blocksOf } from "./address-blocks.ts";

/** Something of ours that should have gone and is still there, or stays as we set it. */
export function leftBehind(subject: string, text: string): Problem {
  return { code: "VIP_LEFT_BEHIND", severity: "warning", subject, text };
}

/** A range, or VIPs, that could not be made local. */
export function notLocal(subject: string, text: string): Problem {
  return { code: "VIP_NOT_LOCAL", severity: "warning", subject, text };
}

/** All VIPs that nobody can listen on here as one problem; none where there are none. */
export function missingVips(
  reasons: ReadonlyMap<IpAddress, string>,
  { command }: { readonly command: string | undefined },
): readonly Problem[] {
  if (reasons.size === 0) return [];
  const missing = listNames([...reasons].map(([vip, reason]) => `${vip} (${reason})`));
  const problem = notLocal("VIPs", `VIPs that are not on this host: ${missing}`);
  return [command === undefined ? problem : { ...problem, hint: `this would help: ${command}` }];
}

/** Up to here each address is named; a longer list is better helped by routes for the blocks that hold it. */
const NAMED_ADDRESSES = 16;

/** No proposed block is wider: VIPs far apart would else make the Internet, or the host's own network, local. */
const WIDEST_BLOCK: Readonly<Record<Family, number>> = { 4: 16, 6: 64 };

/** The shell command with which someone who may do it makes these VIPs local; undefined where there are none. */
export function commandForVips(vips: readonly IpAddress[]): string | undefined {
  if (vips.length === 0) return undefined;
  if (vips.length <= NAMED_ADDRESSES) {
    const [first] = vips;
    if (vips.length === 1 && first !== undefined) return `sudo ip address add ${hostBlock(first)} dev lo`;
    return `for vip in ${vips.map(hostBlock).join(" ")}; do sudo ip address add "$vip" dev lo; done`;
  }
  const families: readonly Family[] = [4, 6];
  const commands = families.flatMap((family) => {
    const routes = blocksOf(
      vips.filter((vip) => familyOf(vip) === family),
      WIDEST_BLOCK[family],
    ).map((block) => `sudo ip -${family} route add local ${formatCidr(block)} dev lo`);
    return family === 4 || routes.length === 0 ? routes : [...routes, "sudo sysctl -w net.ipv6.ip_nonlocal_bind=1"];
  });
  return commands.join(" && ");
}

function hostBlock(address: IpAddress): string {
  return `${address}/${addressWidth(familyOf(address))}`;
}
