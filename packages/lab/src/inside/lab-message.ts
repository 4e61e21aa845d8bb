import type { LabPlan } from "../plan/lab-plan.ts";
import type { ServedCount } from "./answer-clients.ts";

/** Where the lab's own files are, on a tmpfs of the lab's; every place sees it. */
export const INSIDE_FOLDER = "/run/svcproxy-lab";

/** The first line that the supervisor reads from its stdin. */
export interface LabOrder {
  readonly plan: Pick<LabPlan, "places" | "wiring" | "setups" | "servers">;
  /** Files for INSIDE_FOLDER, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** Whether the lab ends when its stdin does, and tells what its pods serve. */
  readonly attached: boolean;
}

/** What the supervisor writes to its stdout, one JSON text a line. */
export type LabEvent =
  | {
      readonly kind: "ready";
      /** Pids, inside, of the processes that hold a host's mount and host-name namespaces, by network namespace. */
      readonly holders: Readonly<Record<string, number>>;
      readonly networkMs: number;
      readonly serversMs: number;
    }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "served"; readonly counts: Readonly<Record<string, ServedCount>> };
