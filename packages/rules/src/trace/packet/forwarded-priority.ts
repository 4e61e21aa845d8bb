/**
 * The priority (`meta priority`) that IPv4 gives a packet which it passes on, whatever it had: the type of service says.
 *
 * @param tos the byte of the type of service
 * @see linux net/ipv4/ip_forward.c, rt_tos2priority
 */
export function forwardedPriority(tos: number): number {
  return PRIORITIES[(tos & 0x1e) >> 3] ?? 0;
}

/** Best effort, bulk, interactive, interactive bulk: two bits of the four tell them apart. */
const PRIORITIES = [0, 2, 6, 4] as const;
