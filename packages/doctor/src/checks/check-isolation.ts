import { formatSocketAddress } from "@svcproxy/topology";
import type { Cause } from "../cause.ts";
import { causeOf } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";
import { portOf } from "./check-layer-two.ts";

/** Pods of one bridge whose ports are isolated from each other: what one sends to the other, by a service too, goes nowhere. */
export function checkIsolation(leaving: readonly Leaving[]): readonly Cause[] {
  return leaving.flatMap((way): readonly Cause[] => {
    const { at, sufferer, endpoint, interface: bridge } = way;
    if (sufferer.client !== "pod" || endpoint.host !== at.name) return [];
    const isolated = at.snapshot.links.filter(({ master, isIsolated }) => master === bridge && isIsolated === true);
    if (isolated.length < 2) return [];
    const names = isolated.map(({ name }) => name);
    const ports = [way.source, way.nextHop].map((address) => portOf(at, { bridge, address }));
    // Where one of both was not heard of lately it may be behind any port.
    const isSure = ports.every((port) => port === undefined || names.includes(port));
    const isWhole = at.snapshot.links.every(({ master, isIsolated }) => master !== bridge || isIsolated === true);
    if (!isSure || (!isWhole && ports.includes(undefined))) return [];
    return [
      causeOf(
        {
          code: "BRIDGE_PORT_CLOSED",
          subject: `bridge ports ${names.join(", ")}`,
          text: `Ports of ${bridge} are isolated from each other, so its pods do not reach one another, by services either`,
          evidence: [`bridge -d link: isolated on for ${names.join(", ")}`],
          suspect: "a CNI plug-in that isolates ports (portIsolation), or somebody who set it",
          remedy: names.map((name) => `bridge link set dev ${name} isolated off`),
        },
        { host: at.name, sufferers: [sufferer], endpoints: [formatSocketAddress(endpoint)] },
      ),
    ];
  });
}
