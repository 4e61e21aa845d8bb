import { hostname } from "node:os";
import { inputError, quote } from "@svcproxy/topology";

/** A DNS subdomain, which the name of each Node is. */
const NODE_NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** What Kubernetes leaves of a variable that the container does not have. */
const UNFILLED = /^\$\((\w+)\)$/;

/**
 * What the cluster calls this machine: what it is told to be, else its host name; in lower case, as the kubelet has it.
 *
 * @param told undefined or empty: nothing is told
 * @throws InputError BAD_NAME
 */
export function nodeName(told: string | undefined): string {
  const text = told?.trim() || hostname().trim();
  const name = text.toLowerCase();
  if (NODE_NAME.test(name)) return name;
  const [, variable] = UNFILLED.exec(text) ?? [];
  const hint =
    variable === undefined
      ? "Name it as `kubectl get nodes` does: --hostname-override NAME"
      : `Give the container the variable ${variable}, from the field spec.nodeName`;
  throw inputError("BAD_NAME", `${quote(text)} cannot be the name of a Node: that has letters, digits, - and . alone`, {
    hint,
  });
}
