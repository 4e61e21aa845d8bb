import { availableParallelism } from "node:os";
import { forEachConcurrently } from "./inside/for-each-concurrently.ts";
import type { Lab } from "./lab.ts";
import type { Place } from "./plan/lab-plan.ts";

/** What a place has at this moment. */
export interface PlaceStatus extends Place {
  /** As `ip route` prints them, IPv4 before IPv6; routes that the kernel makes for itself are left out. */
  readonly routes: readonly string[];
  /** `tcp 10.5.75.2:3000`, in the order of their ports. */
  readonly listeners: readonly string[];
}

const READ = "ip -4 route show; ip -6 route show; echo; ss -Hlntu";

/** Reads routes and listeners of every place; pods in their host's network show the host's. */
export async function readLabStatus(lab: Lab): Promise<readonly PlaceStatus[]> {
  const statuses = new Map<Place, PlaceStatus>();
  await forEachConcurrently(lab.process.places, 2 * availableParallelism(), async (place) => {
    const { stdout } = await lab.run(place.name, ["sh", "-c", READ]);
    const [routes = "", listeners = ""] = stdout.split("\n\n");
    statuses.set(place, { ...place, routes: readRoutes(routes), listeners: readListeners(listeners) });
  });
  return lab.process.places.flatMap((place) => statuses.get(place) ?? []);
}

function readRoutes(text: string): readonly string[] {
  const lines = text.split("\n").map((line) => line.trim().replace(/ pref medium$/, ""));
  return lines.filter(
    (line) => line !== "" && !line.startsWith("fe80::/64 ") && !line.includes(" proto kernel metric 256"),
  );
}

function readListeners(text: string): readonly string[] {
  const listeners = text.split("\n").flatMap((line) => {
    const [protocol, , , , local] = line.trim().split(/\s+/);
    return protocol === undefined || local === undefined ? [] : [`${protocol} ${local}`];
  });
  const portOf = (listener: string) => Number(listener.slice(listener.lastIndexOf(":") + 1));
  return [...new Set(listeners)].sort((a, b) => portOf(a) - portOf(b) || (a < b ? -1 : 1));
}
