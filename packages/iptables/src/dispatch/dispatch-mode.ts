import type { Family, HostPlan } from "@svcproxy/topology";

/** How a new connection finds its frontend, and its endpoint: rule by rule, or down a tree of chains. `auto` decides by size. */
export type DispatchMode = "auto" | "linear" | "tree";

/** Up to this many, `auto` keeps the order of the document and of kube-proxy. */
export const LINEAR_MAX_FRONTENDS = 256;

/** Up to this many endpoints of one service, `auto` asks one rule after the other. */
export const LINEAR_MAX_ENDPOINTS = 128;

/** Whether the frontends of this family are dispatched by a tree. */
export function dispatchesByTree(
  { ports }: HostPlan,
  { family, mode }: { family: Family; mode: DispatchMode },
): boolean {
  if (mode !== "auto") return mode === "tree";
  let count = 0;
  for (const port of ports) if (port.family === family) count += port.frontends.length;
  return count > LINEAR_MAX_FRONTENDS;
}

/** Whether the choice among `count` endpoints is made by a tree. */
export function choosesByTree(count: number, mode: DispatchMode): boolean {
  return mode === "tree" || (mode === "auto" && count > LINEAR_MAX_ENDPOINTS);
}
