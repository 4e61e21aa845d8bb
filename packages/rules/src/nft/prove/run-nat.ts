import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../../match.ts";
import type { SymbolicState } from "../../prove/walk/symbolic-state.ts";
import { type NatTarget, translate } from "../../prove/walk/translate-state.ts";
import type { NftStep, Reading } from "./compiled-nft.ts";
import { type AskedStep, ended, type StepOutcome, undecidedAt } from "./step-outcome.ts";
import { type SymbolicValue, valuesOf } from "./values-of.ts";

type NatStep = Extract<NftStep, { kind: "nat" | "masquerade" | "redirect" }>;

/** dnat, snat, masquerade and redirect: NAT is set up, and the base chain is left. */
export function runNat(asked: AskedStep, state: SymbolicState, step: NatStep): readonly StepOutcome[] {
  const withPorts = (reading: Reading | undefined, one: SymbolicState, then: Then) =>
    reading === undefined ? then(one, undefined) : withValues(asked, one, reading, (two, [port]) => then(two, port));
  if (step.kind !== "nat")
    return withPorts(step.ports, state, (one, port) => {
      const ports = portsOf(port);
      if (ports === "unknown") return [undecidedAt(asked, one, `which port it gets is not known${why(port)}`)];
      const { random, fullyRandom } = step.flags;
      const given = ports === undefined ? {} : { ports };
      return translated(asked, one, { kind: step.kind, ...given, random, randomFully: fullyRandom });
    });
  if (step.address === undefined)
    return withPorts(step.ports, state, (one, port) => mapped(asked, one, { step, port }));
  return withValues(asked, state, step.address, (one, [address, second]) =>
    second === undefined
      ? withPorts(step.ports, one, (two, port) => mapped(asked, two, { step, address, port }))
      : mapped(asked, one, { step, address, port: second }),
  );
}

type Then = (state: SymbolicState, value: SymbolicValue | undefined) => readonly StepOutcome[];

function withValues(
  asked: AskedStep,
  state: SymbolicState,
  reading: Reading,
  then: (state: SymbolicState, values: readonly SymbolicValue[]) => readonly StepOutcome[],
): readonly StepOutcome[] {
  return valuesOf(asked, state, reading).flatMap((valued): readonly StepOutcome[] => {
    if (valued.kind === "undecided") return [undecidedAt(asked, valued.state, valued.because)];
    if (valued.kind === "none") return [{ kind: "break", state: valued.state }];
    return then(valued.state, valued.values);
  });
}

interface Mapping {
  readonly step: Extract<NatStep, { kind: "nat" }>;
  readonly address?: SymbolicValue | undefined;
  readonly port: SymbolicValue | undefined;
}

function mapped(asked: AskedStep, state: SymbolicState, { step, address, port }: Mapping): readonly StepOutcome[] {
  const addresses = address === undefined ? undefined : addressesOf(address);
  if (addresses === "unknown") return [undecidedAt(asked, state, `which address it gets is not known${why(address)}`)];
  const ports = portsOf(port);
  if (ports === "unknown") return [undecidedAt(asked, state, `which port it gets is not known${why(port)}`)];
  if (step.isNetmap && addresses !== undefined && addresses.from !== addresses.to)
    return [undecidedAt(asked, state, `which address of ${addresses.from}-${addresses.to} it gets hangs on its own`)];
  const { random, fullyRandom: randomFully, persistent } = step.flags;
  const given = { ...(addresses === undefined ? {} : { addresses }), ...(ports === undefined ? {} : { ports }) };
  return translated(asked, state, { kind: step.type, to: { ...given, random, randomFully, persistent } });
}

function translated(asked: AskedStep, state: SymbolicState, target: NatTarget): readonly StepOutcome[] {
  return translate(asked, state, { target, placed: asked.placed }).map(
    (one): StepOutcome => ("ending" in one ? ended(one.state, one.ending) : { kind: "accepted", state: one }),
  );
}

function addressesOf(value: SymbolicValue): { readonly from: IpAddress; readonly to: IpAddress } | "unknown" {
  if (value.kind !== "datum" && value.kind !== "range") return "unknown";
  const { from, to } = value.kind === "range" ? value.range : { from: value.datum, to: value.datum };
  const [first, last] = [parseIpAddress(String(from)), parseIpAddress(String(to))];
  return first === undefined || last === undefined ? "unknown" : { from: first, to: last };
}

function portsOf(value: SymbolicValue | undefined): NumberRange | "unknown" | undefined {
  if (value === undefined) return undefined;
  if (value.kind !== "datum" && value.kind !== "range") return "unknown";
  const { from, to } = value.kind === "range" ? value.range : { from: value.datum, to: value.datum };
  return typeof from === "number" && typeof to === "number" ? { from, to } : "unknown";
}

function why(value: SymbolicValue | undefined): string {
  return value?.kind === "unknown" ? `: ${value.because}` : "";
}
