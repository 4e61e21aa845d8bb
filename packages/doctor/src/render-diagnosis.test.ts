import { expect, test } from "vitest";
import type { Cause, Diagnosis } from "./cause.ts";
import { CAUSE_CODES } from "./cause-codes.ts";
import { EXPLANATIONS } from "./explanations/explanations.ts";
import { nestEffects } from "./nest-effects.ts";
import { renderDiagnosis, renderRemedies } from "./render-diagnosis.ts";

function cause(code: Cause["code"], more: Partial<Cause> = {}): Cause {
  return {
    ...{ code, severity: "error", subject: code, text: `this is ${code}`, host: "web1" },
    ...{ evidence: ["seen it"], remedy: [], sufferers: [], effects: [] },
    ...more,
  };
}

function diagnosis(causes: readonly Cause[]): Diagnosis {
  return { host: "web1", takenAt: "", causes, open: [], looked: { services: 1, ways: 2, dials: 3, pings: 0 } };
}

test("what a cause brings about on its host is told below it, and elsewhere by itself", () => {
  const causes = nestEffects([
    cause("ROUTE_MISSING"),
    cause("LINK_DOWN"),
    cause("ROUTE_MISSING", { host: "web2" }),
    cause("CONNTRACK_FULL"),
  ]);
  expect(causes.map(({ code, host }) => `${code} ${host}`)).toEqual([
    "LINK_DOWN web1",
    "ROUTE_MISSING web2",
    "CONNTRACK_FULL web1",
  ]);
  expect(causes[0]?.effects.map(({ code }) => code)).toEqual(["ROUTE_MISSING"]);
});

test("a cause has its evidence, who did it, the commands, and who suffers", () => {
  const text = renderDiagnosis(
    diagnosis([
      cause("LINK_DOWN", {
        ...{ suspect: "somebody", remedy: ["ip link set x up"], hint: "ip link set x up" },
        sufferers: [
          { service: "default/web", client: "pod", share: 0.5 },
          { service: "default/web", client: "host", share: 1 },
        ],
      }),
    ]),
  );
  expect(text).toBe(`✕ this is LINK_DOWN [LINK_DOWN]
  seen      seen it
  probably  somebody
  mend      ip link set x up
  suffer    default/web: from pods here, this host (50 % to 100 % of the
            connections)

web1: 1 cause
looked at 1 services, 2 ways of packets, 3 connections and 0 pings sent
`);
});

test("what is not decided is told with how far the packet gets", () => {
  const question = {
    ...{ subject: "endpoint 10.5.75.2:3000", text: "no answer", way: ["OUTPUT: a to b", "sent out by cni0"] },
    ...{ hint: "look there", sufferers: [] },
  };
  expect(renderDiagnosis({ ...diagnosis([]), open: [question] })).toContain(`? no answer
  its way   OUTPUT: a to b
            sent out by cni0
  to decide look there
`);
});

test("remedies are a script; what is for another host, or no command, stands as a comment; names forge no line", () => {
  const script = renderRemedies(
    diagnosis([
      cause("LINK_DOWN", { remedy: ["ip link set x up"] }),
      cause("TUNNEL_FILTERED", { host: "web2", remedy: ["iptables -I INPUT 1"] }),
      cause("POD_GONE", { text: "gone\nrm -rf /" }),
    ]),
  );
  const commands = script.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(commands).toEqual(["ip link set x up"]);
  expect(script).toContain("# on web2: iptables -I INPUT 1");
});

test("every code is explained", () => {
  for (const code of CAUSE_CODES)
    for (const text of Object.values(EXPLANATIONS[code])) expect(text.length).toBeGreaterThan(20);
  expect(new Set(CAUSE_CODES).size).toBe(CAUSE_CODES.length);
});

test("lines have 80 columns, but for commands, which are copied", () => {
  const long = "word ".repeat(60).trim();
  const command = `ip route add ${"10.0.0.0/8 ".repeat(12)}dev eth0`;
  const lines = renderDiagnosis({
    ...diagnosis([cause("LINK_DOWN", { text: long, evidence: [long], suspect: long, remedy: [command], hint: long })]),
    open: [{ subject: "x", text: long, hint: long, sufferers: [] }],
  }).split("\n");
  expect(lines.filter((line) => line.length > 80)).toEqual([`  mend      ${command}`]);
});
