import type { FlowCarrier } from "./flow.ts";
import type { FlowWorld } from "./flow-world.ts";

/** A data path, with settings, that is to serve every flow. */
export interface FlowSubject extends FlowCarrier {
  /** For the names of tests. */
  readonly name: string;
  /**
   * `rules`: packets are rewritten, and endpoints see the client's own address where the promise lets them. `relay`: connections end
   * on the host; endpoints see one of its addresses, and a TCP client that gets no answer elsewhere is refused or reset.
   */
  readonly carries: "rules" | "relay";
  /** Whether the services stand among many others. */
  readonly crowded: boolean;
  /**
   * Makes the host of the world serve its topology, and returns once it does.
   *
   * @returns what ends with the world; undefined where nothing has to
   */
  serve(world: FlowWorld): Promise<AsyncDisposable | undefined>;
}
