import type { IpAddress } from "@svcproxy/topology";
import type { DataPath } from "../../data-path/data-path.ts";

/** A machine of its own with a data path at work on it, and what others do there; for one test. */
export interface DataPathHost extends AsyncDisposable {
  readonly dataPath: DataPath;
  /** All that the machine has of the kind that this data path writes, others' things included. Equal states give equal text. */
  dump(): Promise<string>;
  /** Others' things come, as `dump` shows them. */
  addForeign(): Promise<void>;
  /** Another program changes some of what this data path wrote for `default/web`, so that it no longer works as planned. */
  damage(): Promise<void>;
  /** Another program takes away all that this data path wrote, as a firewall does that starts anew. */
  wipe(): Promise<void>;
  /**
   * From now on the machine takes nothing that names one of these addresses, or nothing at all; an empty list: it takes everything
   * again.
   */
  refuse(what: readonly IpAddress[] | "everything"): Promise<void>;
}
