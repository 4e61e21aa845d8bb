import type { Scenario } from "./scenario.ts";

/** Well below a SYN's first repetition after 1 s: a client that has to repeat was not refused but left alone. */
const AT_ONCE_MS = 700;

export const REFUSED_AT_ONCE: Scenario = {
  name: "no-endpoints",
  promise: "A service without endpoints is refused at once, not left to time out",
  async play(stage) {
    const dials = [
      ...["os1_my1", "os2_my2", "cloudos1", "cloudos2"].flatMap((from) => [
        { from, to: "10.100.100.7:80", protocol: "tcp" as const },
        { from, to: "10.100.100.7:53", protocol: "udp" as const },
      ]),
      { from: "os1_my1", to: "192.168.1.6:34217", protocol: "tcp" as const },
      { from: "cloudos1", to: "192.168.1.6:34217", protocol: "tcp" as const },
      { from: "cloudos1", to: "192.168.1.7:34217", protocol: "tcp" as const },
      { from: "client", to: "192.168.1.6:34217", protocol: "tcp" as const },
      { from: "client", to: "192.168.1.7:34217", protocol: "tcp" as const },
    ];
    const faults = await Promise.all(
      dials.map(async ({ from, to, protocol }) => {
        const outcomes = await stage.ask(from, to, { protocol, times: 3, parallel: 1 });
        return outcomes
          .filter(({ kind, ms }) => kind !== "refused" || ms > AT_ONCE_MS)
          .map((outcome) => `${from} to ${to} (${protocol}): ${JSON.stringify(outcome)} instead of a refusal`);
      }),
    );
    const found = faults.flat();
    if (found.length > 0) throw new Error(found.join("\n"));
  },
};
