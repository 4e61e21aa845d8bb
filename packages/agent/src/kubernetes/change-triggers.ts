import type { Family } from "@svcproxy/topology";
import type { BegunChange, ChangedServices } from "../source.ts";
import { type ApiObject, objectOf, textOf } from "./api-error.ts";

/** Whoever writes a slice notes when what made him do so happened; without a note where it was nothing of the endpoints' own. */
const TRIGGERED_AT = "endpoints.kubernetes.io/last-change-trigger-time";
const SERVICE_NAME = "kubernetes.io/service-name";
const FAMILIES: Readonly<Record<string, Family>> = { IPv4: 4, IPv6: 6 };

/**
 * When the changes of EndpointSlices began, as kube-proxy sees it: only what began after its own start counts, and nothing of a slice that
 * goes, whose note is of the change before.
 */
export class ChangeTriggers {
  readonly #sinceMs: number;
  /** The note of each slice, as far as it counts. */
  readonly #notes = new Map<string, string>();
  readonly #begun = new Map<string, BegunChange[]>();

  constructor(now = new Date()) {
    this.#sinceMs = now.getTime();
  }

  /** @param slice with its annotations */
  set(key: string, slice: ApiObject): void {
    const metadata = objectOf(slice["metadata"]);
    const note = textOf(objectOf(metadata["annotations"])[TRIGGERED_AT]);
    if (note === undefined) return void this.#notes.delete(key);
    const at = new Date(note);
    // NaN is not above anything.
    if (!(at.getTime() > this.#sinceMs)) return void this.#notes.delete(key);
    if (this.#notes.get(key) === note) return;
    this.#notes.set(key, note);
    const owner = textOf(objectOf(metadata["labels"])[SERVICE_NAME]);
    const family = FAMILIES[textOf(slice["addressType"]) ?? ""];
    if (owner === undefined || family === undefined) return;
    const service = `${textOf(metadata["namespace"]) ?? ""}/${owner}`;
    this.#begun.set(key, [...(this.#begun.get(key) ?? []), { service, family, at }]);
  }

  remove(key: string): void {
    this.#notes.delete(key);
    this.#begun.delete(key);
  }

  /**
   * Those that were not taken yet.
   *
   * @param changed the services that a state tells as otherwise: a note alone changes nothing, and may be the first word of a change
   */
  take(changed: ChangedServices): readonly BegunChange[] {
    const taken: BegunChange[] = [];
    for (const [key, begun] of this.#begun) {
      const told = begun.filter(({ service }) => changed === "everything" || changed.has(service));
      if (told.length === 0) this.#notes.delete(key);
      taken.push(...told);
    }
    this.#begun.clear();
    return taken;
  }
}
