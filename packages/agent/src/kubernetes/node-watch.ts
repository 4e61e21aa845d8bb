import type { Problem } from "@svcproxy/topology";
import { type ApiObject, objectOf, textOf } from "./api-error.ts";

/** The autoscaler is about to take a node with this taint away. */
const LEAVING_TAINT = "ToBeDeletedByClusterAutoscaler";

/** What of this node's own object counts beyond its addresses. */
export class NodeWatch {
  readonly #name: string;
  #object: ApiObject | undefined;
  #wasThere = false;
  #hadPodCIDR = false;

  constructor(name: string) {
    this.#name = name;
  }

  set(object: ApiObject): void {
    this.#object = object;
    this.#wasThere = true;
    this.#hadPodCIDR ||= this.hasPodCIDR;
  }

  remove(): void {
    this.#object = undefined;
  }

  get isThere(): boolean {
    return this.#object !== undefined;
  }

  get hasAddress(): boolean {
    const addresses = objectOf(this.#object?.["status"])["addresses"];
    const types = ["InternalIP", "ExternalIP"];
    return (
      Array.isArray(addresses) && addresses.some((one: unknown) => types.includes(textOf(objectOf(one)["type"]) ?? ""))
    );
  }

  get hasPodCIDR(): boolean {
    return Boolean(textOf(objectOf(this.#object?.["spec"])["podCIDR"]));
  }

  /** As kube-proxy has it: the node is known, is not being deleted, and the autoscaler leaves it. */
  get isEligible(): boolean {
    if (this.#object === undefined) return false;
    const taints = objectOf(this.#object["spec"])["taints"];
    const isLeaving =
      Array.isArray(taints) && taints.some((taint: unknown) => objectOf(taint)["key"] === LEAVING_TAINT);
    return !isLeaving && objectOf(this.#object["metadata"])["deletionTimestamp"] === undefined;
  }

  get problems(): readonly Problem[] {
    const about = { severity: "warning", subject: `node ${this.#name}` } as const;
    const name = JSON.stringify(this.#name);
    if (this.#wasThere && this.#object === undefined) {
      const text = `The cluster has no node ${name} any more; what it had stays in force here`;
      return [{ ...about, code: "NO_SUCH_NODE", text }];
    }
    if (this.#hadPodCIDR && !this.hasPodCIDR) {
      const text = `The node ${name} has no podCIDR any more; the one that it had stays in force here`;
      return [{ ...about, code: "NODE_INCOMPLETE", text }];
    }
    return [];
  }
}
