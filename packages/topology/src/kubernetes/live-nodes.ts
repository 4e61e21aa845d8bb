import type { Fault } from "../errors.ts";
import { LiveObject } from "./live-object.ts";
import type { RefusedObject } from "./live-services.ts";
import { type KubernetesNode, readNode } from "./read-nodes.ts";

interface Entry {
  /** The last that could be read; undefined: there was none. */
  readonly node: KubernetesNode | undefined;
  readonly warnings: readonly Fault[];
  readonly refused: RefusedObject | undefined;
}

/**
 * The Nodes of a cluster, one read at a time as it changes. What one had stays: where it went, where it came back without addresses, or without
 * podCIDRs, which others give it later, and where it cannot be read.
 */
export class LiveNodes {
  readonly #entries = new Map<string, Entry>();

  /** @returns whether what it is as a host is otherwise now */
  set(key: string, value: unknown): boolean {
    const live = new LiveObject("Node", value);
    const before = this.#entries.get(key)?.node;
    const lacking = before === undefined ? "no rules can be made for it" : "what it had stays in force";
    const read = readNode(live.object, { lacking });
    const [first, ...others] = live.errors;
    const now = first === undefined && read !== undefined ? withPodCIDRs(read, before) : before;
    this.#entries.set(key, {
      node: now,
      warnings: live.warnings,
      refused:
        first === undefined
          ? undefined
          : { entry: live.name, isKept: before !== undefined, faults: [first, ...others] },
    });
    return JSON.stringify(now?.host) !== JSON.stringify(before?.host);
  }

  /** Those that could be read once. */
  get list(): readonly KubernetesNode[] {
    return [...this.#entries.values()].flatMap(({ node }) => node ?? []);
  }

  get warnings(): readonly Fault[] {
    return [...this.#entries.values()].flatMap(({ warnings }) => warnings);
  }

  get refused(): readonly RefusedObject[] {
    return [...this.#entries.values()].flatMap(({ refused }) => refused ?? []);
  }
}

function withPodCIDRs(node: KubernetesNode, before: KubernetesNode | undefined): KubernetesNode {
  const { host } = node;
  if (host.podCIDRs.length > 0 || before === undefined) return node;
  return { ...node, host: { ...host, podCIDRs: before.host.podCIDRs } };
}
