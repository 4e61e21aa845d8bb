import process from "node:process";
import { startInBackground } from "@svcproxy/lab";
import type { TopologyFile } from "@svcproxy/topology";
import type { DataPath } from "../data-paths.ts";
import { HOSTS } from "../hosts.ts";
import type { Stage } from "../stage/stage.ts";

/** A cause as `svcproxy doctor --json` prints it, as far as it is looked at. */
export interface FoundCause {
  readonly code: string;
  readonly subject: string;
  readonly evidence: readonly string[];
  readonly remedy: readonly string[];
  readonly effects: readonly FoundCause[];
}

interface WantedCause {
  readonly code: string;
  readonly subject: RegExp;
  readonly evidence: RegExp;
  /** A cause that is to be told below it. */
  readonly bringsAbout?: string;
}

const HERE = "cloudos1";

/** Programs in os1_my1 that are not where the topology has them, or accept nobody. */
const APPLICATIONS: TopologyFile = {
  ...HOSTS,
  services: [
    ...HOSTS.services,
    ...[
      { name: "looped", clusterIP: "10.100.100.21", targetPort: 3001 },
      { name: "elsewhere", clusterIP: "10.100.100.22", targetPort: 3002 },
      { name: "busy", clusterIP: "10.100.100.23", targetPort: 3004 },
    ].map(({ name, clusterIP, targetPort }) => ({
      ...{ name, clusterIP, ports: [{ port: 80, targetPort }], endpoints: ["os1_my1"] },
    })),
  ],
};

/** What the source says by now, and nobody has applied. */
const NEWER: TopologyFile = {
  ...APPLICATIONS,
  services: (APPLICATIONS.services ?? []).map((service) =>
    service.name === "moving" ? { ...service, endpoints: ["os1_my1"] } : service,
  ),
};

/** The kernel completes connections to those that listen, as many as wait; this program never accepts one. */
const PROGRAM = `
const { createServer } = require("node:net");
const listen = (...where) => new Promise((resolve) => createServer().listen(...where, resolve));
(async () => {
  await listen(3001, "127.0.0.1");
  await listen(3003, "0.0.0.0");
  await listen(3004, "0.0.0.0", 1);
  require("node:fs").writeSync(1, "listening\\n");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
})();
`;

/** Fills the queue of that program, and holds the one source port that a rule of the host leaves for an endpoint. */
const HOLDER = `
const { connect } = require("node:net");
for (let count = 0; count < 4; count++) connect(3004, "10.5.75.2").on("error", () => {});
connect(3000, "10.5.88.3", () => console.log("connected")).resume();
`;
const FEW_PORTS =
  'nft add table ip few; nft add chain ip few p "{ type nat hook postrouting priority 90; }"; nft add rule ip few p ip daddr 10.5.88.3 tcp dport 3000 masquerade to :40000';

/** One datagram from port 4001 to a VIP: prints who answers, or nothing. */
const ASK_NAMES = `
const socket = require("node:dgram").createSocket("udp4");
setTimeout(() => socket.close(), 3000);
socket.on("message", (text) => { console.log(String(text)); socket.close(); process.exit(); });
socket.bind(4001, () => socket.send("who", 53, "10.100.100.6"));
`;
/** Another translation for as long as a flow begins: it goes to os1_my2 from then on, which is no endpoint of \`names\`. */
const OTHER_DNAT =
  'nft add table ip before; nft add chain ip before o "{ type nat hook output priority -150; }"; nft add rule ip before o ip daddr 10.100.100.6 udp dport 53 dnat to 10.5.75.3:3000';

/**
 * Causes that do not hinder one another, all made at once, so that each is to be named: programs that do not listen, or accept nothing; a
 * UDP flow that goes on to what is no endpoint; source ports that are used up; rules that nobody brings up to date, and for iptables the
 * lock that keeps everybody from it.
 */
export async function playAtOnce(
  stage: Stage,
  look: (flags?: readonly string[]) => Promise<readonly FoundCause[]>,
): Promise<readonly string[]> {
  const { lab, dataPath } = stage;
  const hasRules = dataPath.name !== "userspace";
  const started: number[] = [];
  const background = async (place: string, readyText: string, command: readonly string[]) => {
    const log = `/run/at-once-${started.length}.log`;
    started.push(await startInBackground(lab, { place, log, readyText, command }));
  };
  const node = (script: string) => [process.execPath, "-e", script];
  const askNames = async () => (await stage.run(HERE, node(ASK_NAMES))).trim();
  await stage.change(APPLICATIONS);
  try {
    await background("os1_my1", "listening", node(PROGRAM));
    await stage.run(HERE, ["sh", "-ec", FEW_PORTS]);
    await background(HERE, "connected", node(HOLDER));
    if (hasRules) {
      await stage.run(HERE, ["sh", "-ec", OTHER_DNAT]);
      await askNames();
      await stage.run(HERE, ["nft", "delete", "table", "ip", "before"]);
    }
    if (hasRules && dataPath.agent === undefined) {
      await stage.write(JSON.stringify(NEWER));
      await background(HERE, "held", [
        "flock",
        "--no-fork",
        "/run/xtables.lock",
        "sh",
        "-c",
        "echo held; exec sleep 600",
      ]);
    }
    const found = await look();
    const wanted = wantedCauses(dataPath);
    const faults = wanted.flatMap((one) =>
      found.some((cause) => isWanted(cause, one)) ? [] : [`${one.code} ${one.subject} is not named with its evidence`],
    );
    const others = found.filter((cause) => !wanted.some((one) => isWanted(cause, one)));
    faults.push(...others.map(({ code, subject }) => `${code} ${subject} is named too`));
    const onPaper = await look(["--no-probe"]);
    const full = {
      code: "LISTEN_QUEUE_FULL",
      subject: /10\.5\.75\.2:3004/,
      evidence: /2 connections wait at port 3004, of 2/,
    };
    if (!onPaper.some((cause) => isWanted(cause, full))) faults.push("without a dial the full queue is not named");
    if (hasRules) {
      const before = await askNames();
      if (!before.startsWith("os1_my2 ")) faults.push(`the old flow is answered by ${JSON.stringify(before)}`);
      const stale = found.find(({ code }) => code === "STALE_UDP_FLOWS");
      for (const command of stale?.remedy ?? []) await stage.run(HERE, ["sh", "-c", command]);
      const after = await askNames();
      if (!/^os[12]_my1 /.test(after)) faults.push(`after the remedy the flow is answered by ${JSON.stringify(after)}`);
    }
    return faults.map((fault) => `causes at once: ${fault}; found: ${JSON.stringify(found)}`);
  } finally {
    for (const pid of started) await lab.run(HERE, ["kill", "-KILL", String(pid)]);
    await lab.run(HERE, ["sh", "-c", "nft delete table ip few; nft delete table ip before; conntrack -F"]);
    await stage.change(HOSTS);
  }
}

function wantedCauses({ name, agent }: DataPath): readonly WantedCause[] {
  const nothing = (port: number, evidence: RegExp) => ({
    ...{ code: "NOTHING_LISTENS", subject: new RegExp(`^endpoint 10\\.5\\.75\\.2:${port}$`), evidence },
  });
  const always = [
    nothing(3001, /127\.0\.0\.1:3001/),
    nothing(3002, /3003/),
    { code: "LISTEN_QUEUE_FULL", subject: /10\.5\.75\.2:3004/, evidence: /ListenOverflows .* while it was dialled/ },
    { code: "SOURCE_PORTS_USED_UP", subject: /ports/, evidence: /insert_failed .* grew[\s\S]*masquerade to :40000/ },
  ];
  if (name === "userspace") return always;
  const stale = { code: "STALE_UDP_FLOWS", subject: /default\/names/, evidence: /goes to 10\.5\.75\.3:3000/ };
  const outdated = { code: "RULES_OUTDATED", subject: /rules/, evidence: /./ };
  const locked = {
    ...{ code: "RULES_LOCK_HELD", subject: /xtables\.lock/, evidence: /proc\/locks: pid \d+/ },
    bringsAbout: "RULES_OUTDATED",
  };
  // An agent brings its rules up to date.
  if (agent !== undefined) return [...always, stale];
  return [...always, stale, name.startsWith("iptables") ? locked : outdated];
}

function isWanted({ code, subject, evidence, effects }: FoundCause, wanted: WantedCause): boolean {
  return (
    code === wanted.code &&
    wanted.subject.test(subject) &&
    wanted.evidence.test(evidence.join("\n")) &&
    (wanted.bringsAbout === undefined || effects.some((effect) => effect.code === wanted.bringsAbout))
  );
}
