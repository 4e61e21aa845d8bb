import { expect, test } from "vitest";
import type { Cause } from "./cause.ts";
import { nestEffects } from "./nest-effects.ts";

const cause = (code: Cause["code"], subject: string, evidence: string): Cause => ({
  ...{ code, subject, text: code, evidence: [evidence], remedy: [], severity: "error", host: "one" },
  ...{ sufferers: [{ service: "default/web", client: "host", share: 0.5 }], effects: [], endpoints: [] },
});

test("that the answers to a pod do not come back is told below that the host does not find the pod", () => {
  const found = nestEffects([
    cause("POD_CUT_OFF", "endpoint 10.5.75.3:3000", "ip neigh"),
    cause(
      "MASQUERADE_MISSING",
      "masquerading",
      "10.5.75.3 is not reached by flannel.1: the other side drops the packet",
    ),
    cause(
      "MASQUERADE_MISSING",
      "masquerading",
      "10.5.75.2 is not reached by flannel.1: the other side drops the packet",
    ),
  ]);
  expect(
    found.map(({ code, effects }) => [code, ...effects.map(({ evidence }) => evidence[0]?.split(" ")[0])]),
  ).toEqual([["POD_CUT_OFF", "10.5.75.3"], ["MASQUERADE_MISSING"]]);
});
