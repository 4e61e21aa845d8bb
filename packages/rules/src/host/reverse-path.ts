import type { IpAddress } from "@svcproxy/topology";
import type { Router } from "./routing.ts";

export interface ReversePathQuestion {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly inInterface: string;
  /** By which it goes on, where it is forwarded: the kernel looks for the way back as if it had come by that. */
  readonly outInterface?: string | undefined;
  readonly mark: number;
  readonly tos?: number | undefined;
  readonly mode: "strict" | "loose";
  readonly acceptLocal: boolean;
}

export type ReversePathCheck =
  | { readonly kind: "passed" }
  | { readonly kind: "failed"; readonly because: string }
  | { readonly kind: "unknown"; readonly because: string };

/** Whether an answer to `source` would leave by the interface by which its packet came (strict), or at all (loose). */
export function checkReversePath(router: Router, question: ReversePathQuestion): ReversePathCheck {
  const { source, destination, inInterface, outInterface, mark, tos, mode, acceptLocal } = question;
  const answer = router.lookup({
    destination: source,
    source: destination,
    mark,
    inInterface: outInterface ?? "lo",
    ...(tos === undefined ? {} : { tos }),
  });
  if (answer.kind === "unknown") return answer;
  if (answer.kind === "none") return { kind: "failed", because: `no route leads back to ${source}` };
  const { route } = answer;
  if (route.type !== "unicast" && !(route.type === "local" && acceptLocal))
    return { kind: "failed", because: `the way back to ${source} is ${route.type}` };
  if (mode === "loose" || route.interface === inInterface) return { kind: "passed" };
  return {
    kind: "failed",
    because: `the way back to ${source} is ${route.interface ?? "another"}, not ${inInterface}`,
  };
}
