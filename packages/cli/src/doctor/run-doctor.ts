import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Diagnosis,
  diagnose,
  type Observation,
  type ObservedHost,
  realProber,
  renderDiagnosis,
  renderRemedies,
} from "@svcproxy/doctor";
import { isNamed, readXtablesLockHolder, serviceName, thisMachine } from "@svcproxy/host";
import { inputError, nearestWord, type ServicePortPlan, type Topology } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { enterCallersFolder, runInHostRoot } from "../host-rules/enter-host-root.ts";
import { observeSnapshot, observeThisHost } from "../host-rules/observe-host.ts";
import { readTopology } from "../source/read-topology.ts";
import type { TopologyFlags } from "../source/topology-input.ts";
import { requireCode } from "./explain-code.ts";
import { keeperCauses } from "./keeper-causes.ts";
import { dialAsPod } from "./pod-dialler.ts";

export interface DoctorFlags extends TopologyFlags {
  readonly host?: string;
  readonly service?: string;
  readonly to?: string;
  readonly peer?: readonly string[];
  readonly snapshot?: readonly string[];
  readonly probe: boolean;
  readonly ignore?: readonly string[];
  readonly asPod?: true;
  readonly probeUdp?: true;
  readonly remedies?: true;
  readonly foreignHost?: true;
  readonly json?: true;
}

/** Finds out why services are not reached. @returns 0 healthy, 3 causes, 4 something is not decided */
export async function runDoctor(
  context: CommandContext,
  files: readonly string[],
  flags: DoctorFlags,
): Promise<ExitCode> {
  const inside = flags.snapshot === undefined ? await runInHostRoot(context) : undefined;
  if (inside !== undefined) return inside;
  enterCallersFolder();
  const { topology } = await readTopology(context, files, { ...flags, required: true });
  const observation = await observe(context, topology, flags);
  const isAsked = askedPorts(observation.here.plan.ports, flags);
  const isLive = flags.snapshot === undefined;
  const progress = progressOf(context);
  const lockedAtFirst = isLive && isServedByIptables(observation.here) ? await readXtablesLockHolder() : undefined;
  const found = await diagnose(observation, {
    signal: context.signal,
    ...(isLive
      ? { more: (causes) => keeperCauses(context, { host: observation.here.name, found: causes, lockedAtFirst }) }
      : {}),
    onProgress: progress.show,
    ...(isAsked === undefined ? {} : { isAsked }),
    ...(isLive && flags.probe
      ? {
          prober: { ...realProber, dialAsPod },
          asPod: flags.asPod === true,
          probesUdp: flags.probeUdp === true,
          lookAgain: async (unanswered: readonly string[]) => {
            await neighboursSettled(unanswered, context.signal);
            return observeThisHost(context, { topology, host: observation.here.name });
          },
        }
      : {}),
  });
  progress.end();
  const diagnosis = withoutIgnored(found, flags.ignore ?? []);
  if (flags.json === true) await context.print(renderJson(diagnosis));
  else await context.print(flags.remedies === true ? renderRemedies(diagnosis) : renderDiagnosis(diagnosis));
  return diagnosis.causes.length > 0 ? 3 : diagnosis.open.length > 0 ? 4 : 0;
}

async function observe(context: CommandContext, topology: Topology, flags: DoctorFlags): Promise<Observation> {
  const [own, ...others] = flags.snapshot ?? [];
  const here =
    own === undefined
      ? await observeThisHost(context, { topology, host: flags })
      : await observeSnapshot(context, { topology, file: own, host: flags.host });
  const peers = new Map<string, ObservedHost>();
  for (const file of [...others, ...(flags.peer ?? [])]) {
    const peer = await observeSnapshot(context, { topology, file, host: undefined });
    peers.set(peer.name, peer);
  }
  return { topology, here, peers };
}

/** Whether a service proxy has rules of iptables here, which its lock keeps as they are. */
function isServedByIptables(here: ObservedHost): boolean {
  return ([4, 6] as const).some((family) =>
    here
      .rules(family)
      ?.iptables.some(({ rules: { tables } }) =>
        tables.some(({ chains }) => chains.some(({ name }) => name.startsWith("KUBE-"))),
      ),
  );
}

/** The kernel asks an address that has stopped answering for some seconds before it calls it failed. */
const NEIGHBOUR_WAIT_MS = 9_000;
const NEIGHBOUR_POLL_MS = 500;

async function neighboursSettled(addresses: readonly string[], signal: AbortSignal): Promise<void> {
  for (let waitedMs = 0; addresses.length > 0 && waitedMs < NEIGHBOUR_WAIT_MS; waitedMs += NEIGHBOUR_POLL_MS) {
    const { stdout } = await thisMachine.run("ip", ["neigh"], { signal });
    const lines = stdout.split("\n").filter((line) => addresses.some((address) => line.startsWith(`${address} `)));
    if (!lines.some((line) => /INCOMPLETE|DELAY|PROBE/.test(line))) return;
    await delay(NEIGHBOUR_POLL_MS, undefined, { signal }).catch(() => {});
  }
}

/** @throws InputError UNKNOWN_SERVICE where none is meant */
function askedPorts(
  ports: readonly ServicePortPlan[],
  { service, to }: Pick<DoctorFlags, "service" | "to">,
): ((port: ServicePortPlan) => boolean) | undefined {
  if (service === undefined && to === undefined) return undefined;
  const isAsked = (port: ServicePortPlan) =>
    (service === undefined || isNamed(serviceName(port), service)) && (to === undefined || isDialledAt(port, to));
  if (ports.some(isAsked)) return isAsked;
  const names = ports.map(serviceName);
  const near =
    service === undefined
      ? undefined
      : nearestWord(service, [...names, ...names.map((name) => name.replace(/^.*\//, ""))]);
  throw inputError(
    "UNKNOWN_SERVICE",
    service === undefined ? `No service is dialled at ${to}` : `There is no service ${JSON.stringify(service)}`,
    {
      hint:
        near === undefined
          ? "svcproxy check lists the services of the topology"
          : `Did you mean ${JSON.stringify(near)}?`,
    },
  );
}

function isDialledAt({ frontends }: ServicePortPlan, to: string): boolean {
  return frontends.some(({ addresses, port }) =>
    addresses.some((address) => to === (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`)),
  );
}

/** @throws InputError UNKNOWN_CHOICE for a code that there is not */
function withoutIgnored(diagnosis: Diagnosis, ignored: readonly string[]): Diagnosis {
  const rules = ignored.map((text) => {
    const [code = "", ...subject] = text.split("=");
    requireCode(code);
    return { code, subject: subject.join("=") };
  });
  const isIgnored = ({ code, subject }: { readonly code: string; readonly subject: string }) =>
    rules.some((rule) => rule.code === code && (rule.subject === "" || rule.subject === subject));
  return { ...diagnosis, causes: diagnosis.causes.filter((cause) => !isIgnored(cause)) };
}

/** What it does, on one line of a terminal that is written over. */
function progressOf({ stderrIsTerminal }: CommandContext): {
  readonly show: (what: string) => void;
  readonly end: () => void;
} {
  if (!stderrIsTerminal) return { show: () => {}, end: () => {} };
  const clear = "\r\u001b[K";
  return {
    show: (what) => process.stderr.write(`${clear}${what}`),
    end: () => process.stderr.write(clear),
  };
}
