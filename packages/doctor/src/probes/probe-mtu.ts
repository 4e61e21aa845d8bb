import type { Cause } from "../cause.ts";
import { causeOf } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";
import type { Prober } from "./prober.ts";

/** One small packet, and one as large as the device promises; where only that is lost, a few more to find what the path carries. */
const SMALL_BYTES = 600;
const STEPS = 7;

/** Whether the path to other hosts carries what its device promises. @returns also how many packets were sent */
export async function probeMtu(
  leaving: readonly Leaving[],
  { prober }: { readonly prober: Prober },
): Promise<{ readonly causes: readonly Cause[]; readonly pings: number }> {
  const causes: Cause[] = [];
  let pings = 0;
  const ping = (address: string, bytes: number) => {
    pings += 1;
    return prober.ping(address, bytes);
  };
  const elsewhere = leaving.filter(({ at, endpoint }) => endpoint.host !== undefined && endpoint.host !== at.name);
  for (const [host, ways] of Map.groupBy(elsewhere, ({ endpoint }) => endpoint.host ?? "")) {
    const [way] = ways;
    const mtu = way?.at.snapshot.links.find(({ name }) => name === way.interface)?.mtu;
    if (way === undefined || mtu === undefined) continue;
    const { address } = way.endpoint;
    if ((await ping(address, SMALL_BYTES)) !== true) continue; // it answers none at all: that is another matter
    if ((await ping(address, mtu)) !== false) continue;
    if ((await ping(address, mtu)) !== false) continue; // one may get lost
    let [carried, lost] = [SMALL_BYTES, mtu];
    for (let step = 0; step < STEPS; step++) {
      const middle = Math.round((carried + lost) / 2);
      if ((await ping(address, middle)) === true) carried = middle;
      else lost = middle;
    }
    causes.push(
      causeOf(
        {
          code: "MTU_TOO_LARGE",
          subject: `path to ${host}`,
          text: `The path to ${host} carries packets of about ${carried} bytes, and ${way.interface} promises ${mtu}: small answers come, large ones hang`,
          evidence: [`a packet of ${carried} bytes to ${address} was answered, one of ${lost} was not, both undivided`],
          suspect: "an underlay with a smaller MTU than the overlay was made for",
          remedy: [`ip link set ${way.interface} mtu ${carried}`],
          hint: `Set the overlay's MTU to what the underlay carries less its header (50 bytes for VXLAN), on all hosts`,
        },
        { host: way.at.name, sufferers: ways.map(({ sufferer }) => sufferer) },
      ),
    );
  }
  return { causes, pings };
}
