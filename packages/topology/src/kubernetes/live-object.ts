import type { Fault } from "../errors.ts";
import { SubjectPath } from "../subject-path.ts";
import { FaultReport } from "../text/fault-report.ts";
import { ValueReader } from "../value-reader.ts";
import { type KubernetesObject, readObject } from "./kubernetes-objects.ts";

/** The kinds that are followed of an API server. */
export type LiveKind = "Service" | "EndpointSlice" | "Node" | "ServiceCIDR";

/** An object as an API server has it, with what is wrong with it: reading more of it finds more. */
export class LiveObject {
  readonly object: KubernetesObject;
  readonly #report = new FaultReport();
  readonly #name: string;

  constructor(kind: LiveKind, value: unknown) {
    const reader = new ValueReader({ source: { file: kind, text: "" }, index: 0, value }, this.#report);
    this.object = readObject(value, { where: SubjectPath.root("the object"), reader, kind });
    const { namespace, name } = this.object;
    this.#name = `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
  }

  /** As people call it, for instance `Service default/web`. */
  get name(): string {
    return this.#name;
  }

  get errors(): readonly Fault[] {
    return this.#faults("error");
  }

  get warnings(): readonly Fault[] {
    return this.#faults("warning");
  }

  #faults(wanted: Fault["severity"]): readonly Fault[] {
    return this.#report.faults
      .filter(({ severity }) => severity === wanted)
      .map(({ place: _place, first: _first, ...fault }) => ({ ...fault, at: { object: this.#name } }));
  }
}
