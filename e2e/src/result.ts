import type { Overlay } from "@svcproxy/lab";
import type { DataPath } from "./data-paths.ts";

/** How one scenario came out on one stage. */
export type Outcome =
  | { readonly kind: "ok"; readonly ms: number }
  | {
      readonly kind: "failed";
      readonly ms: number;
      readonly reason: string;
      /** What the hosts looked like afterwards, and what they sent when it was tried once more. */
      readonly evidence: string;
    }
  | { readonly kind: "not applicable"; readonly reason: string };

export interface Result {
  readonly scenario: string;
  readonly promise: string;
  readonly dataPath: DataPath["name"];
  readonly overlay: Overlay;
  readonly outcome: Outcome;
}
