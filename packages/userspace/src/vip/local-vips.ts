import { type IpRefusal, type Machine, refusalOf, runIp, runIpBatch } from "@svcproxy/host";
import {
  addressWidth,
  type Cidr,
  cidrContains,
  type Family,
  familyOf,
  formatCidr,
  type IpAddress,
  type Problem,
} from "@svcproxy/topology";
import type { IsolationScope, VipPort } from "./isolation.ts";
import { type DeviceAddress, type LocalAddresses, readLocalAddresses } from "./local-addresses.ts";
import { endExemption, ensureIsolation, retainIsolation } from "./vip-isolation.ts";
import { NONLOCAL_BIND, VIP_DEVICE_KINDS, VIP_MARK } from "./vip-mark.ts";
import { commandForVips, leftBehind } from "./vip-problems.ts";
import { ensureRanges, removeRanges } from "./vip-ranges.ts";

export interface LocalVipsOptions {
  readonly machine: Machine;
  /** Where VIPs are put: `svcproxy0` is made where it is missing, any other has to be there; undefined: nowhere. */
  readonly device?: string;
  /** Blocks that one route each makes local, instead of their VIPs one by one. */
  readonly ranges: readonly Cidr[];
  /** Whether clients of VIPs are to reach the services' ports alone, as far as this host can do it; absent: no. */
  readonly isolates?: boolean;
}

/** What is to be local, and which of its ports clients dial. */
interface WantedVips {
  readonly vips: readonly IpAddress[];
  readonly ports: readonly VipPort[];
}

export interface VipReport {
  /** What was made local by this call. */
  readonly added: readonly IpAddress[];
  /** VIPs that no one can listen on here, with the reason. */
  readonly notLocal: ReadonlyMap<IpAddress, string>;
  /** Those of them that may be made local later, by this process, on this host. */
  readonly delayed: ReadonlySet<IpAddress>;
  /** The command that would make them local. */
  readonly command?: string;
  /** What else could not be done. */
  readonly problems: readonly Problem[];
  /** Why VIPs of a family are not isolated, where they should be. */
  readonly notIsolated: ReadonlyMap<Family, string>;
}

export interface VipRemoval {
  /** What was taken away, for people. */
  readonly removed: readonly string[];
  /** What could not be. */
  readonly left: readonly Problem[];
}

/**
 * Makes VIPs local in this network namespace and takes exactly that away again.
 *
 * What is ours is marked in the kernel (`VIP_MARK`), never in a file: a start after a kill -9 takes over what is
 * there, and addresses and routes without the mark are used but never touched. Calls are carried out one by one.
 */
export class LocalVips {
  readonly #options: LocalVipsOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LocalVipsOptions) {
    this.#options = options;
  }

  /** Makes `vips` local as far as this process may; takes nothing away. @param ports which stay open where VIPs are isolated */
  ensure(vips: readonly IpAddress[], ports: readonly VipPort[] = []): Promise<VipReport> {
    return this.#inTurn(() => ensureLocal(this.#options, { vips, ports }));
  }

  /** Takes away what is ours and not needed for `vips` and `ports`, left-overs of an earlier run included. */
  retain(vips: readonly IpAddress[], ports: readonly VipPort[] = []): Promise<VipRemoval> {
    const { machine, ranges, isolates = false } = this.#options;
    return this.#inTurn(() => retainLocal(machine, { vips, ports, ranges, isolates }));
  }

  /** Isolates VIPs no more, which stay. */
  async endIsolation(): Promise<void> {
    await this.#inTurn(() => retainIsolation(this.#options.machine, NOBODY));
  }

  /** Takes away all that is ours. */
  release(): Promise<VipRemoval> {
    return this.#inTurn(() => removeLocalVips(this.#options.machine));
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Takes away every address, route, rule and device that carries our mark, whoever left it. */
export function removeLocalVips(machine: Machine): Promise<VipRemoval> {
  return retainLocal(machine, { vips: [], ports: [], ranges: [], isolates: false });
}

async function ensureLocal(options: LocalVipsOptions, { vips, ports }: WantedVips): Promise<VipReport> {
  const { machine } = options;
  const before = await readLocalAddresses(machine);
  const problems = await ensureRanges(machine, { wanted: options.ranges, existing: before.ranges });
  const now = options.ranges.length === 0 ? before : await readLocalAddresses(machine);
  const isLocal = await localityOf(options, now);
  const missing = [...new Set(vips)].filter((vip) => !isLocal(vip));
  // Before they are local: at no moment do they lead anywhere else.
  const notIsolated =
    options.isolates === true
      ? await isolate(options, { vips, ports, missing, state: now })
      : new Map<Family, string>();
  const notLocal = new Map<IpAddress, string>();
  const delayed = new Set<IpAddress>();
  const refusals = missing.length === 0 ? [] : await addAddresses(options, { vips: missing, state: now });
  for (const [index, refusal] of refusals) {
    const vip = missing[index];
    if (vip === undefined) continue;
    notLocal.set(vip, refusal.text);
    if (refusal.kind === "not-run") delayed.add(vip);
  }
  // Last, because on a device that is down addresses come in half the time; and also where an earlier start was killed before it.
  const usesVipDevice = missing.length > 0 && options.device === VIP_MARK.device;
  if (usesVipDevice || now.vipDevice?.ours === true) await runIp(machine, ["link", "set", VIP_MARK.device, "up"]);
  if (options.isolates === true && missing.length > 0) await endExemption(machine);
  const command = commandForVips([...notLocal.keys()]);
  const added = missing.filter((vip) => !notLocal.has(vip));
  return { added, notLocal, delayed, problems, notIsolated, ...(command === undefined ? {} : { command }) };
}

async function isolate(
  { machine, device, ranges }: LocalVipsOptions,
  { vips, ports, missing, state }: WantedVips & { missing: readonly IpAddress[]; state: LocalAddresses },
): Promise<ReadonlyMap<Family, string>> {
  const toAdd = device === undefined ? [] : missing;
  const scope = scopeOf(state, { vips, ranges, toAdd });
  const exemptsHost = toAdd.length > 0;
  const reasons = new Map(await ensureIsolation(machine, { ...scope, ports }, { exemptsHost }));
  const known = new Set([...scope.vips, ...missing]);
  for (const vip of vips.filter((address) => !known.has(address))) {
    const family = familyOf(vip);
    if (!reasons.has(family))
      reasons.set(family, `${vip} is on this host by somebody else's hand, and is left as it is`);
  }
  return reasons;
}

/** VIPs and ranges that are ours, or are about to be: what others made local is theirs, and stays reachable as it was. */
export function scopeOf(
  state: LocalAddresses,
  {
    vips,
    ranges,
    toAdd,
  }: Pick<WantedVips, "vips"> & Pick<LocalVipsOptions, "ranges"> & { toAdd: readonly IpAddress[] },
): Omit<IsolationScope, "ports"> {
  const [ours, others] = [true, false].map((isOurs) => {
    const addresses = state.addresses.filter((entry) => entry.ours === isOurs);
    return new Set(addresses.map(({ address }) => address));
  });
  const ourRanges = ranges.filter((range) =>
    state.ranges.some((local) => local.ours && formatCidr(local.range) === formatCidr(range)),
  );
  const adding = new Set(toAdd);
  const isOurs = (vip: IpAddress) =>
    ours?.has(vip) === true ||
    adding.has(vip) ||
    (others?.has(vip) !== true && ourRanges.some((range) => cidrContains(range, vip)));
  return { vips: [...new Set(vips)].filter(isOurs), ranges: ourRanges };
}

/**
 * An IPv6 address in a `local` route can only be bound with `ip_nonlocal_bind`, so without it the range does not count. Neither
 * does one that an earlier run left and this one does not want: it is about to be taken away.
 */
export async function localityOf(
  { machine, ranges: wanted }: Pick<LocalVipsOptions, "machine" | "ranges">,
  state: LocalAddresses,
): Promise<(vip: IpAddress) => boolean> {
  const addresses = new Set(state.addresses.map(({ address }) => address));
  const bindsNonlocal = (await machine.readSysctl(NONLOCAL_BIND)) === "1";
  const stays = new Set(wanted.map(formatCidr));
  const ranges = state.ranges.filter(
    ({ range, ours }) => (!ours || stays.has(formatCidr(range))) && (bindsNonlocal || familyOf(range.address) === 4),
  );
  return (vip) => addresses.has(vip) || ranges.some(({ range }) => cidrContains(range, vip));
}

async function addAddresses(
  { machine, device }: LocalVipsOptions,
  { vips, state }: { vips: readonly IpAddress[]; state: LocalAddresses },
): Promise<ReadonlyMap<number, IpRefusal>> {
  const everyVip = (refusal: IpRefusal) => new Map(vips.map((_, index) => [index, refusal]));
  if (device === undefined) return everyVip({ kind: "failed", text: "it is not on this host" });
  if (device === VIP_MARK.device) {
    const refusal = state.vipDevice === undefined ? await makeVipDevice(machine) : undefined;
    if (refusal !== undefined) return everyVip(refusal);
  }
  const refusals = await runIpBatch(
    machine,
    vips.map((vip) => `address add ${addressCommand(vip, device)}`),
  );
  // Somebody was faster: the `ip` of a start that was killed a moment ago goes on to the end of what it was told.
  return new Map([...refusals].filter(([, { text }]) => !/file exists|already assigned/i.test(text)));
}

function addressCommand(vip: IpAddress, device: string): string {
  const block = `${vip}/${addressWidth(familyOf(vip))} dev ${device}`;
  if (familyOf(vip) === 4) return `${block} metric ${VIP_MARK.addressMetric}`;
  // nodad: usable at once. preferred_lft 0: the kernel never takes a VIP as the source of this host's own connections.
  return `${block} nodad preferred_lft 0 metric ${VIP_MARK.addressMetric}`;
}

async function makeVipDevice(machine: Machine): Promise<IpRefusal | undefined> {
  let refusal: IpRefusal | undefined;
  for (const kind of VIP_DEVICE_KINDS) {
    // Without `arp off`, which a dummy has anyway, each IPv6 address joins a multicast group: 10,000 of them took 42 s, not 3.
    const made = await runIp(machine, [
      ...["link", "add", VIP_MARK.device, "arp", "off", "group", VIP_MARK.deviceGroup],
      ...["type", kind],
    ]);
    if (made.kind === "done") {
      await runIp(machine, ["link", "set", VIP_MARK.device, "addrgenmode", "none"]); // no link-local address; fails without IPv6
      return undefined;
    }
    refusal = refusalOf(made);
    if (refusal.kind !== "failed") return refusal;
  }
  return refusal;
}

async function retainLocal(
  machine: Machine,
  { vips, ports, ranges, isolates }: WantedVips & Required<Pick<LocalVipsOptions, "ranges" | "isolates">>,
): Promise<VipRemoval> {
  const state = await readLocalAddresses(machine);
  if (!state.complete) return { removed: [], left: [] };
  const wanted = new Set(vips);
  const { removed, left } = await removeRanges(machine, { wanted: ranges, existing: state.ranges });
  const isStale = ({ ours, address }: DeviceAddress) => ours && !wanted.has(address);
  // With nothing else on it, our device goes whole: ten thousand addresses at once. One that someone gave an address stays.
  const goesWhole =
    state.vipDevice?.ours === true &&
    state.addresses.every((entry) => entry.device !== VIP_MARK.device || isStale(entry) || isLinkLocal(entry.address));
  if (goesWhole) {
    const subject = `device ${VIP_MARK.device}`;
    const outcome = await runIp(machine, ["link", "delete", VIP_MARK.device]);
    if (outcome.kind === "done") removed.push(subject);
    else left.push(leftBehind(subject, `Cannot remove ${VIP_MARK.device}: ${refusalOf(outcome).text}`));
  }
  const stale = state.addresses.filter((entry) => isStale(entry) && !(goesWhole && entry.device === VIP_MARK.device));
  const refusals = await runIpBatch(
    machine,
    stale.map(({ address, prefixLength, device }) => `address del ${address}/${prefixLength} dev ${device}`),
  );
  for (const [index, { address, device }] of stale.entries()) {
    const refusal = refusals.get(index);
    if (refusal === undefined) removed.push(`${address} on ${device}`);
    else left.push(leftBehind(`VIP ${address}`, `Cannot remove ${address} from ${device}: ${refusal.text}`));
  }
  // After the VIPs: as long as they are local they lead nowhere else.
  const scope = isolates ? { ...scopeOf(state, { vips, ranges, toAdd: [] }), ports } : NOBODY;
  const isolation = await retainIsolation(machine, scope);
  return { removed: [...removed, ...isolation.removed], left: [...left, ...isolation.left] };
}

const NOBODY: IsolationScope = { vips: [], ranges: [], ports: [] };

function isLinkLocal(address: IpAddress): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}
