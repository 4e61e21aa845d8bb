import { setTimeout as delay } from "node:timers/promises";
import type { IpAddress } from "@svcproxy/topology";
import { kernelOutcome } from "../differential/judge.ts";
import type { KernelWorld, SentPacket } from "../differential/kernel-world.ts";
import { sentFrom } from "./kernel-fates.ts";

/** A frontend that remembers its clients. */
export interface StickyProbe {
  readonly to: IpAddress;
  readonly port: number;
  readonly protocol: SentPacket["packet"]["protocol"];
  readonly clients: readonly IpAddress[];
  readonly timeoutSeconds: number;
}

/** Connections of one client: that none of them draws another endpoint of two by chance happens once in 128 times. */
const CONNECTIONS = 8;

/** That all of them draw the same of two by chance happens once in a thousand times. */
const ENOUGH_CLIENTS = 10;

/**
 * Whether clients come back to the endpoint that they had, one word for each frontend.
 *
 * @param options.waits whether to see when they are forgotten as well, which takes three times the timeout
 */
export async function clientsStay(
  world: KernelWorld,
  probes: readonly StickyProbe[],
  { waits }: { readonly waits: boolean },
): Promise<readonly string[]> {
  await world.run("conntrack", ["-F"]);
  const atOnce = await dial(world, probes, CONNECTIONS);
  const words = atOnce.map((ends) => (ends.every((own) => own.size < 2) ? "stay" : "move"));
  const timeout = Math.max(0, ...probes.map(({ timeoutSeconds }) => timeoutSeconds));
  if (!waits || timeout === 0) return words;
  let before = atOnce;
  // The second time shows whether the first made it known anew.
  for (const share of [0.7, 0.7, 1.4]) {
    await delay(timeout * share * 1000);
    const now = await dial(world, probes, 1);
    for (const [place, ends] of now.entries()) {
      // A few that were forgotten may draw what they had.
      if (share > 1 && ends.length < ENOUGH_CLIENTS) continue;
      const same = ends.every((own, client) => [...own].every((end) => before[place]?.[client]?.has(end) === true));
      words[place] += same ? `, known after ${share} timeouts` : `, forgotten after ${share} timeouts`;
    }
    before = now;
  }
  return words;
}

/** @returns for each probe and client, where its connections ended */
async function dial(
  world: KernelWorld,
  probes: readonly StickyProbe[],
  connections: number,
): Promise<readonly (readonly ReadonlySet<string>[])[]> {
  let id = 0;
  const planned = probes.flatMap(({ clients, ...target }, place) =>
    clients.flatMap((from, client) =>
      Array.from({ length: connections }, () => {
        id++;
        const sent = sentFrom({ ...target, from, sourcePort: nextPort() });
        return { place, client, sent: { ...sent, packet: { ...sent.packet, id } } };
      }),
    ),
  );
  const seen = Map.groupBy(await world.send(planned.map(({ sent }) => sent)), (one) => one.id);
  const ends = probes.map(({ clients }) => clients.map(() => new Set<string>()));
  for (const { place, client, sent } of planned) {
    const outcome = kernelOutcome(seen.get(sent.packet.id) ?? [], world.interfaceName);
    ends[place]?.[client]?.add(outcome.kind === "delivered" ? JSON.stringify(outcome.destination) : outcome.kind);
  }
  return ends;
}

let port = 20_000;

/** Another for each connection: one that conntrack knows goes where it went. */
function nextPort(): number {
  port = port >= 39_000 ? 20_000 : port + 1;
  return port;
}
