import type { Protocol } from "@svcproxy/topology";
import { endpointsOf, PROTOCOLS, stickyEndpointsOf } from "../compile/collections.ts";
import { RESTRICTED_BIT, TREATMENTS } from "../compile/treatment.ts";
import type { WantedPort } from "../compile/wanted-port.ts";
import { classid, parseClassid } from "../table/classid.ts";
import { entryOf } from "../table/entry-of.ts";
import type { OldGroup } from "./number-port.ts";
import type { TableMirror } from "./table-mirror.ts";

/** The groups that a table holds, whether or not something leads to them. */
export class OldGroups {
  readonly #mirror: TableMirror;
  readonly #groups = new Map<number, MutableGroup>();
  readonly #claimed = new Set<number>();

  constructor(mirror: TableMirror) {
    this.#mirror = mirror;
    for (const protocol of PROTOCOLS) {
      for (const [key, { data }] of mirror.elementsOf(endpointsOf(protocol))) {
        const place = parsePlace(key);
        if (place !== undefined) this.#group(place.group).endpoints[protocol][place.index] = data;
      }
      for (const key of mirror.elementsOf(stickyEndpointsOf(protocol)).keys()) this.#spend(key);
    }
    for (const key of mirror.elementsOf("usable-slots").keys()) this.#spend(key);
    for (const [key, { data }] of mirror.elementsOf("slots")) {
      const place = parsePlace(key);
      const slot = parseClassid(data)?.low;
      if (place !== undefined && slot !== undefined) this.#group(place.group).slots[place.index] = slot;
    }
    for (const collection of ["services", "nodeports", "local-groups"]) {
      for (const { data } of mirror.elementsOf(collection).values()) this.#note(data);
    }
    for (const collection of ["groups", "local-groups"]) {
      for (const key of mirror.elementsOf(collection).keys()) this.#note(key);
    }
  }

  /** Every number that is in use, be it by nothing that is reached. */
  get numbers(): Iterable<number> {
    return this.#groups.keys();
  }

  /** The group to which a port's frontends lead by now. Each group is given to one port only. */
  claim(port: WantedPort, which: "cluster" | "local", cluster?: number): OldGroup | undefined {
    const wanted = port[which];
    if (wanted === undefined || this.#groups.size === 0) return undefined;
    for (const number of this.#candidates(port, which, cluster)) {
      if (this.#claimed.has(number)) continue;
      this.#claimed.add(number);
      return this.#oldGroup(number, wanted.protocol, wanted.timeoutSeconds !== undefined);
    }
    return undefined;
  }

  *#candidates(port: WantedPort, which: "cluster" | "local", cluster: number | undefined): Generator<number> {
    for (const { collection, key } of port.frontends) {
      const value = parseClassid(this.#mirror.elementsOf(collection).get(key)?.data ?? "");
      if (value === undefined) continue;
      const isLocal = (value.low & ~RESTRICTED_BIT) === TREATMENTS["internal-local"];
      if (isLocal === (which === "local") && value.high > 0) yield value.high;
    }
    if (which === "cluster" || cluster === undefined) return;
    const local = this.#mirror.elementsOf("local-groups").get(classid(cluster, 0));
    const number = parseClassid(local?.data ?? "")?.high;
    if (number !== undefined && number > 0) yield number;
  }

  #oldGroup(number: number, protocol: Protocol, isSticky: boolean): OldGroup {
    const { endpoints, slots, lastSlot } = this.#group(number);
    if (!isSticky) return { number, endpoints: endpoints[protocol], slots: [], lastSlot };
    const ofSlots = this.#mirror.elementsOf(stickyEndpointsOf(protocol));
    const ofSlot = (slot: number | undefined) =>
      slot === undefined ? undefined : ofSlots.get(classid(number, slot))?.data;
    return { number, endpoints: slots.map(ofSlot), slots, lastSlot };
  }

  #group(number: number): MutableGroup {
    return entryOf(this.#groups, number, () => ({ endpoints: { tcp: [], udp: [], sctp: [] }, slots: [], lastSlot: 0 }));
  }

  #spend(key: string): void {
    const slot = parseClassid(key);
    if (slot === undefined) return;
    const group = this.#group(slot.high);
    group.lastSlot = Math.max(group.lastSlot, slot.low);
  }

  #note(text: string): void {
    const number = parseClassid(text)?.high;
    if (number !== undefined) this.#group(number);
  }
}

interface MutableGroup {
  /** By protocol and number in the draw. */
  readonly endpoints: Record<Protocol, (string | undefined)[]>;
  /** By number in the draw. */
  readonly slots: (number | undefined)[];
  /** The highest that some element names. */
  lastSlot: number;
}

/** Reads `group:0 . index`. */
function parsePlace(key: string): { readonly group: number; readonly index: number } | undefined {
  const [group, index, ...rest] = key.split(" . ");
  const number = parseClassid(group ?? "")?.high;
  if (number === undefined || index === undefined || rest.length > 0 || !/^\d+$/.test(index)) return undefined;
  return { group: number, index: Number(index) };
}
