import type { Scenario } from "./scenario.ts";

/**
 * Well below a SYN's first repetition after 1 s: a client that has to repeat was not refused but left alone, each time. That one of the tries
 * took long says only that the machine is busy.
 */
const AT_ONCE_MS = 700;

export const REFUSED_AT_ONCE: Scenario = refused({
  name: "no-endpoints",
  promise: "A service without endpoints is refused at once, not left to time out",
  ...{ vip: "10.100.100.7", nodePort: 34_217 },
});

export const LOOP_REFUSED: Scenario = refused({
  name: "loop",
  promise: "A service whose endpoints lead back to it, over whichever host, is refused at once and sends nothing round",
  ...{ vip: "10.100.100.11", nodePort: 34_220 },
});

function refused({
  name,
  promise,
  vip,
  nodePort,
}: Pick<Scenario, "name" | "promise"> & { readonly vip: string; readonly nodePort: number }): Scenario {
  const dials = [
    ...["os1_my1", "os2_my2", "cloudos1", "cloudos2"].flatMap((from) => [
      { from, to: `${vip}:80`, protocol: "tcp" as const },
      { from, to: `${vip}:53`, protocol: "udp" as const },
    ]),
    { from: "os1_my1", to: `192.168.1.6:${nodePort}`, protocol: "tcp" as const },
    { from: "cloudos1", to: `192.168.1.6:${nodePort}`, protocol: "tcp" as const },
    { from: "cloudos1", to: `192.168.1.7:${nodePort}`, protocol: "tcp" as const },
    { from: "client", to: `192.168.1.6:${nodePort}`, protocol: "tcp" as const },
    { from: "client", to: `192.168.1.7:${nodePort}`, protocol: "tcp" as const },
  ];
  return {
    ...{ name, promise },
    async play(stage) {
      const faults = await Promise.all(
        dials.map(async ({ from, to, protocol }) => {
          const outcomes = await stage.ask(from, to, { protocol, times: 3, parallel: 1 });
          const isLeftAlone = outcomes.every(({ ms }) => ms > AT_ONCE_MS);
          return outcomes
            .filter(({ kind }) => isLeftAlone || kind !== "refused")
            .map((outcome) => `${from} to ${to} (${protocol}): ${JSON.stringify(outcome)} instead of a refusal`);
        }),
      );
      const found = faults.flat();
      if (found.length > 0) throw new Error(found.join("\n"));
    },
  };
}
