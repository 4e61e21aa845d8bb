import type { IpAddress } from "../address.ts";
import { type Cidr, cidrContains, parseCidr } from "../address.ts";

/**
 * What kind of address this is that the API server refuses for endpoints and external IPs; undefined for an ordinary one.
 *
 * @see k8s.io/kubernetes/pkg/apis/core/validation, ValidateNonSpecialIP
 */
export function specialAddress(address: IpAddress): string | undefined {
  return SPECIAL_BLOCKS.find(({ cidr }) => cidrContains(cidr, address))?.what;
}

const SPECIAL_BLOCKS: readonly { readonly cidr: Cidr; readonly what: string }[] = (
  [
    ["0.0.0.0/32", "the unspecified address"],
    ["::/128", "the unspecified address"],
    ["127.0.0.0/8", "a loopback address"],
    ["::1/128", "a loopback address"],
    ["169.254.0.0/16", "a link-local address"],
    ["fe80::/10", "a link-local address"],
    ["224.0.0.0/24", "a link-local multicast address"],
    ["ff02::/16", "a link-local multicast address"],
  ] as const
).flatMap(([text, what]) => {
  const cidr = parseCidr(text);
  return cidr === undefined ? [] : [{ cidr, what }];
});
