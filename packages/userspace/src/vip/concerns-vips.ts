import { VIP_MARK } from "./vip-mark.ts";

/** A device, address, route or policy rule that went; a device that is down; a rule that is asked before all others. */
const ABOUT_OURS = new RegExp(
  [
    `^Deleted .*\\b(?:${VIP_MARK.device}\\b|proto ${VIP_MARK.routeProtocol}\\b)`,
    String.raw`^Deleted \d+:\s+from `,
    String.raw`^0:\s+from `,
    `^\\d+: ${VIP_MARK.device}: .* state DOWN `,
  ].join("|"),
);

/** Whether a line of `ip monitor link address route rule` tells of a change that may have taken a VIP away, or what keeps clients to its ports. */
export function concernsVips(line: string): boolean {
  return ABOUT_OURS.test(line);
}
