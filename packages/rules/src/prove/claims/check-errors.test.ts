import { describe, expect, test } from "vitest";
import { applyCommands } from "../../rule-sets/apply-commands.ts";
import { parseCommands } from "../../rule-sets/parse-commands.ts";
import { documentFixture } from "../../testing/prove-fixtures.ts";
import { proveRules } from "../prove-rules.ts";

const ERRORS = 9;

describe("error messages of served connections", () => {
  const fixture = documentFixture();

  test.for([
    // Without its connection nothing maps an error to the endpoint, or back to the client.
    ["iptables -t raw -A PREROUTING -p icmp -j CT --notrack", "broken"],
    ["iptables -t raw -A PREROUTING -p icmp -j CT --zone 5", "broken"],
    ["iptables -t raw -A PREROUTING -p tcp -j CT --zone 5", "broken"],
    ["iptables -t raw -A PREROUTING -p icmp -j CT --zone-orig 5", "broken"],
    ["iptables -t raw -A PREROUTING -j CT --zone 0", "held"],
    ["iptables -A FORWARD -p icmp -m conntrack --ctproto tcp -j DROP", "broken"],
    ["iptables -A FORWARD -p icmp -m conntrack --ctproto icmp -j DROP", "held"],
    ["iptables -A FORWARD -p icmp -m conntrack --ctstate DNAT -j DROP", "broken"],
    [
      "iptables -t mangle -A FORWARD -j CONNMARK --set-mark 5\niptables -A FORWARD -p icmp -m connmark --mark 5 -j DROP",
      "broken",
    ],
    ["iptables -A FORWARD -p icmp -m conntrack ! --ctproto tcp -j DROP", "held"],
    ["iptables -A FORWARD -p icmp -m conntrack --ctstate RELATED -m conntrack --ctorigdstport 7070 -j DROP", "broken"],
    ["iptables -A FORWARD -p icmp -m conntrack --ctstate RELATED -m conntrack --ctorigdstport 9 -j DROP", "held"],
  ] as const)("beside %s: claim 9 is %s", ([script, status]) => {
    const rules = applyCommands(fixture.rules, parseCommands(script));
    const { claims } = proveRules({ ...fixture, rules });
    expect(claims.find(({ number }) => number === ERRORS)?.status).toBe(status);
  });
});
