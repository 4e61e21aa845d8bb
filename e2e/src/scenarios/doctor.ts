import { resolve } from "node:path";
import process from "node:process";
import { startInBackground } from "@svcproxy/lab";
import { TOPOLOGY_FILE } from "../hosts.ts";
import type { Stage } from "../stage/stage.ts";
import { type FoundCause, playAtOnce } from "./doctor-at-once.ts";
import { INJECTED_CAUSES } from "./doctor-causes.ts";
import type { InjectedCause } from "./injected-cause.ts";
import type { Scenario } from "./scenario.ts";

const SVCPROXY = resolve(import.meta.dirname, "../../../scripts/svcproxy");

/** The doctor looks from here. */
const HERE = "cloudos1";

/** What `svcproxy doctor --json` prints, as far as it is looked at. */
interface Diagnosis {
  readonly causes: readonly (FoundCause & { readonly text: string; readonly host: string })[];
  readonly open: readonly { readonly text: string }[];
}

/** On these every cause is played; on the others those that stand for all. */
const WHOLE = ["nftables", "iptables-nft"];

/** Where a program of the host dials endpoints, their faults are met on another way. */
const OTHERWISE = "userspace";

export const DOCTOR: Scenario = {
  name: "doctor",
  promise:
    "A fault that is made on purpose is named, with its evidence and nothing else, and a remedy that is a command heals it",
  notApplicable: ({ dataPath, overlay }) =>
    dataPath.overlays !== undefined
      ? "it is played with what carries the same without an agent"
      : overlay === "vxlan"
        ? undefined
        : "its faults are those of an overlay",
  async play(stage) {
    await stage.run(HERE, ["sh", "-ec", HARMLESS]);
    await heals(stage, "a healthy host", []);
    await stage.run(HERE, ["sh", "-ec", "ip link del left0"]);
    // A pod is seen by its processes, and a lab's has none.
    const pid = await startInBackground(stage.lab, {
      ...{ place: "os1_my1", log: "/run/seen.log", readyText: "seen" },
      command: ["sh", "-c", "echo seen; exec sleep 3600"],
    });
    try {
      const faults = await playAll(stage);
      if (faults.length > 0) throw new Error(faults.join("\n"));
    } finally {
      await stage.lab.run(HERE, ["kill", String(pid)]);
    }
  },
};

async function playAll(stage: Stage): Promise<readonly string[]> {
  const isWhole = WHOLE.includes(stage.dataPath.name);
  const faults: string[] = [];
  if (isWhole && ONLY.test(TWO_CAUSES.name)) faults.push(...(await playTwo(stage)));
  if (ONLY.test(AT_ONCE))
    faults.push(
      ...(await playAtOnce(stage, async (flags = []) =>
        (await look(stage, false, flags)).causes.filter(({ code }) => !EXPECTED.has(code)),
      )),
    );
  for (const [index, cause] of INJECTED_CAUSES.entries()) {
    const concerns = cause.concerns?.(stage.dataPath) ?? true;
    if (!ONLY.test(cause.name)) continue;
    if (cause.isAnywhere === true && ![WHOLE[index % WHOLE.length], OTHERWISE].includes(stage.dataPath.name)) continue;
    if (!concerns || !(isWhole || cause.isBrief === true || cause.concerns === undefined)) continue;
    faults.push(...(await play(stage, cause)));
  }
  return faults;
}

/** What is strange and hinders nobody: a device of an overlay that is not in use. */
const HARMLESS = "ip link add left0 type vxlan id 9 dev eth0 dstport 4789";

/** `SVCPROXY_CAUSES=route` plays those alone whose name has this in it. */
const ONLY = new RegExp(process.env["SVCPROXY_CAUSES"] ?? "");

const AT_ONCE = "causes at once";

const TWO_CAUSES = {
  name: "two causes at once",
  inject: "iptables -P FORWARD DROP; bridge fdb del 0e:f1:00:00:00:02 dev flannel.1 dst 192.168.1.7",
  undo: "iptables -P FORWARD ACCEPT; iptables -D FORWARD -m conntrack --ctstate DNAT -j ACCEPT 2>/dev/null; bridge fdb replace 0e:f1:00:00:00:02 dev flannel.1 dst 192.168.1.7",
  codes: ["FOREIGN_RULE_DROPS", "TUNNEL_ENTRY_MISSING"],
};

/** Both are named, and what `--remedies` prints mends both when it is run as a script. */
async function playTwo(stage: Stage): Promise<readonly string[]> {
  const { name, inject, undo, codes } = TWO_CAUSES;
  await stage.run(HERE, ["sh", "-c", inject]);
  try {
    const found = await look(stage, false);
    const named = found.causes.map(({ code }) => code).filter((code) => !EXPECTED.has(code));
    if (named.toSorted().join() !== codes.join() || found.open.length > 0)
      return [`${name}: not both are named, or more than they: ${summary(found)}`];
    const script = await stage.lab.run(HERE, [SVCPROXY, "doctor", TOPOLOGY_FILE, "--host", HERE, "--remedies"]);
    await stage.lab.run(HERE, ["sh", "-e"], { input: script.stdout });
    const left = await look(stage, false);
    const still = left.causes.filter(({ code }) => !EXPECTED.has(code));
    return still.length + left.open.length === 0
      ? []
      : [`${name}: what --remedies printed does not heal both: ${summary(left)}`];
  } finally {
    await stage.lab.run(HERE, ["sh", "-c", undo]);
  }
}

async function play(stage: Stage, cause: InjectedCause): Promise<readonly string[]> {
  await stage.run(cause.on, ["sh", "-c", cause.inject]);
  try {
    const found = await look(stage, cause.needsPeer === true);
    const others = found.causes.filter(({ code }) => code !== cause.code && !EXPECTED.has(code));
    const [named] = found.causes.filter(
      ({ code, evidence }) => code === cause.code && cause.evidence.test(evidence.join("\n")),
    );
    const said = summary(found);
    if (named === undefined) return [`${cause.name}: ${cause.code} is not named with its evidence: ${said}`];
    if (others.length > 0 || found.open.length > 0) return [`${cause.name}: more is said than ${cause.code}: ${said}`];
    if (!cause.heals) return [];
    if ((await unanswered(stage, BEFORE_MS)).length === 0)
      return [`${cause.name}: every dial is answered all the same`];
    for (const command of named.remedy) await stage.run(named.host, ["sh", "-c", command]);
    const silent = await unansweredInTheEnd(stage);
    if (silent.length > 0) return [`${cause.name}: after the remedy these are not answered: ${silent.join(", ")}`];
    const left = await look(stage, cause.needsPeer === true);
    const still = left.causes.filter(({ code }) => !EXPECTED.has(code));
    return still.length + left.open.length === 0
      ? []
      : [`${cause.name}: the remedy (${named.remedy.join("; ")}) does not heal it: ${summary(left)}`];
  } finally {
    await stage.lab.run(cause.on, ["sh", "-c", cause.undo]);
    if (cause.undo === "true") await stage.dataPath.change(stage.lab, cause.on);
  }
}

/** Who dials what: each pod and each way to one of them is on the way of some. */
const DIALS = [
  ...["os1_my1", "os1_my2", HERE].flatMap((from) => ["10.100.100.4:80", "10.100.100.5:80"].map((to) => ({ from, to }))),
  { from: "os1_my2", to: "10.100.100.1:7070" },
  { from: "client", to: "192.168.1.6:34214" },
];
/** A dial that is answered late is no proof of a fault, and none is asked for: one of all has to fail. */
const BEFORE_MS = 600;
const AFTER_MS = 5_000;
/** The userspace proxy passes an endpoint over for a while that gave no answer. */
const PATIENCE_MS = 40_000;

async function unansweredInTheEnd(stage: Stage): Promise<readonly string[]> {
  const endMs = performance.now() + PATIENCE_MS;
  let silent = await unanswered(stage, AFTER_MS);
  while (silent.length > 0 && performance.now() < endMs) silent = await unanswered(stage, AFTER_MS);
  return silent;
}

async function unanswered(stage: Stage, timeoutMs: number): Promise<readonly string[]> {
  const dialled = await Promise.all(
    DIALS.map(async ({ from, to }) => {
      const [outcome] = await stage.ask(from, to, { timeoutMs });
      return outcome?.kind === "answered" ? [] : [`${from} to ${to}`];
    }),
  );
  return dialled.flat();
}

function summary({ causes, open }: Diagnosis): string {
  return JSON.stringify([
    ...causes.map(({ code, text, evidence }) => [code, text, evidence]),
    ...open.map(({ text }) => text),
  ]);
}

/** The topology has services without endpoints, and that is told. */
const EXPECTED: ReadonlySet<string> = new Set(["NO_READY_ENDPOINT"]);

async function heals(stage: Stage, what: string, codes: readonly string[]): Promise<void> {
  const { causes, open } = await look(stage, true);
  const others = causes.filter(({ code }) => !EXPECTED.has(code) && !codes.includes(code));
  if (others.length + open.length > 0) throw new Error(`${what} is called ill: ${summary({ causes: others, open })}`);
}

async function look(stage: Stage, withPeer: boolean, flags: readonly string[] = []): Promise<Diagnosis> {
  const input = withPeer ? await stage.run("cloudos2", [SVCPROXY, "host-state", "--snapshot", "-"]) : undefined;
  const command = [
    SVCPROXY,
    "doctor",
    TOPOLOGY_FILE,
    "--host",
    HERE,
    "--json",
    ...(withPeer ? ["--peer", "-"] : []),
    ...flags,
  ];
  const { exitCode, stdout, stderr } = await stage.lab.run(HERE, command, input === undefined ? {} : { input });
  if (![0, 3, 4].includes(exitCode)) throw new Error(`svcproxy doctor failed: ${stderr.trim()}`);
  return JSON.parse(stdout);
}
