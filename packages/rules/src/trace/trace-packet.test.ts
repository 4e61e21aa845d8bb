import { exampleTopology, type IpAddress, parseIpAddress, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import type { HostState } from "../host/host-state.ts";
import { hostStateOf } from "../host/host-state-of.ts";
import { parseSave } from "../rule-sets/parse-save.ts";
import { DOCUMENT_RULES } from "../testing/document-rules.ts";
import { documentFixture } from "../testing/prove-fixtures.ts";
import type { TraceRequest } from "./packet/request.ts";
import { type BranchJson, traceToJson } from "./report/trace-json.ts";
import { tracePacket } from "./trace-packet.ts";

const { topology } = exampleTopology();
const plan = planHost(topology, { host: "cloudos1" });
const cloudos1 = hostStateOf(topology, { host: "cloudos1" });

interface Dialled {
  readonly from: string;
  readonly to: string;
  readonly port?: number;
}

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`no address: ${text}`);
  return parsed;
}

function trace(
  { from, to, port = 80 }: Dialled,
  {
    rules = DOCUMENT_RULES,
    hostState = cloudos1,
    ...request
  }: { rules?: string; hostState?: HostState } & Partial<TraceRequest> = {},
): readonly BranchJson[] {
  const packet = { from: address(from), to: address(to), port, sourcePort: 40000, ...request };
  return traceToJson(tracePacket({ rules: parseSave(rules, { family: 4 }), hostState, plan, packet })).branches;
}

function short(branches: readonly BranchJson[]): readonly unknown[] {
  return branches.map(({ probability, verdict, endpoint, source, masqueraded, reply }) =>
    [
      probability.fraction,
      verdict,
      endpoint,
      "as",
      source,
      masqueraded ? "masqueraded" : "itself",
      reply?.returns ?? null,
    ].join(" "),
  );
}

describe("the document's rules", () => {
  test.for([
    {
      name: "a pod reaches one endpoint here, itself, and one on the other host",
      dialled: { from: "10.5.75.2", to: "10.100.100.1", port: 7070 },
      branches: [
        "1/2 accepted 10.5.75.2:3000 as 10.5.75.1:40000 masqueraded true",
        "1/2 accepted 10.5.88.2:3000 as 10.5.75.2:40000 itself true",
      ],
    },
    {
      name: "the host leaves by the overlay with the overlay's address",
      dialled: { from: "192.168.1.6", to: "10.100.100.1", port: 7070 },
      branches: [
        "1/2 accepted 10.5.75.2:3000 as 10.5.75.1:40000 masqueraded true",
        "1/2 accepted 10.5.88.2:3000 as 10.5.75.0:40000 masqueraded true",
      ],
    },
    {
      name: "a NodePort is masqueraded for a client outside",
      dialled: { from: "192.168.1.99", to: "192.168.1.6", port: 34211 },
      branches: [
        "1/2 accepted 10.5.75.2:3000 as 10.5.75.1:40000 masqueraded true",
        "1/2 accepted 10.5.88.2:3000 as 10.5.75.0:40000 masqueraded true",
      ],
    },
    {
      name: "a client outside that dials a ClusterIP gets no answer from the other host",
      dialled: { from: "8.8.8.8", to: "10.100.100.1", port: 7070 },
      branches: [
        "1/2 accepted 10.5.75.2:3000 as 8.8.8.8:40000 itself true",
        "1/2 accepted 10.5.88.2:3000 as 8.8.8.8:40000 itself false",
      ],
    },
    {
      name: "a NodePort on 127.0.0.1 leads nowhere",
      dialled: { from: "127.0.0.1", to: "127.0.0.1", port: 34211 },
      branches: ["1/2 dropped  as 127.0.0.1:40000 itself ", "1/2 dropped  as 127.0.0.1:40000 itself "],
    },
    {
      name: "pods talk to each other untouched",
      dialled: { from: "10.5.75.2", to: "10.5.75.3", port: 3000 },
      branches: ["1 untouched 10.5.75.3:3000 as 10.5.75.2:40000 itself true"],
    },
    {
      name: "another port of a ClusterIP is nobody's",
      dialled: { from: "10.5.75.2", to: "10.100.100.1", port: 7071 },
      branches: ["1 untouched 10.100.100.1:7071 as 10.5.75.2:40000 itself "],
    },
    {
      name: "the host's own ports are left alone",
      dialled: { from: "192.168.1.99", to: "192.168.1.6", port: 22 },
      branches: ["1 untouched 192.168.1.6:22 as 192.168.1.99:40000 itself true"],
    },
  ])("$name", ({ dialled, branches }) => {
    expect(short(trace(dialled)).map((line) => String(line).trimEnd())).toEqual(branches.map((line) => line.trimEnd()));
  });

  test("without the last one, the host's packet leaves the overlay as 192.168.1.6 and is never answered", () => {
    const rules = DOCUMENT_RULES.replace("-A POSTROUTING -s 192.168.1.6/32 -j MASQUERADE\n", "");
    expect(short(trace({ from: "192.168.1.6", to: "10.100.100.1", port: 7070 }, { rules }))).toEqual([
      "1/2 accepted 10.5.75.2:3000 as 192.168.1.6:40000 itself true",
      "1/2 accepted 10.5.88.2:3000 as 192.168.1.6:40000 itself false",
    ]);
  });

  test("a foreign mark keeps a packet from being masqueraded only where it is not overwritten", () => {
    const [here] = trace({ from: "10.5.75.2", to: "10.100.100.1", port: 7070 }, { mark: 1 });
    expect(here).toMatchObject({ masqueraded: true });
  });

  test("an established connection is none of NAT's business", () => {
    const [branch] = trace({ from: "10.5.75.2", to: "10.100.100.1", port: 7070 }, { state: "ESTABLISHED" });
    expect(branch).toMatchObject({ verdict: "untouched", destination: "10.100.100.1:7070" });
  });

  test("without bridge-nf-call the endpoint next door answers past the rules", () => {
    const hostState = { ...cloudos1, sysctls: { ...cloudos1.sysctls, "net.bridge.bridge-nf-call-iptables": "0" } };
    const branches = trace({ from: "10.5.75.3", to: "10.100.100.1", port: 7070 }, { hostState });
    expect(branches.find(({ endpoint }) => endpoint === "10.5.75.2:3000")?.reply).toMatchObject({ returns: false });
  });

  test.for([
    ["10.5.75.255", "its source 10.5.75.255 is a broadcast address by an address of cni0 and its mask"],
    ["224.0.0.9", "its source 224.0.0.9 is a multicast address"],
  ] as const)("what comes from %s is taken from no wire", ([from, because]) => {
    const [branch] = trace({ from, to: "10.100.100.1", port: 7070 }, { inInterface: "cni0" });
    expect(branch).toMatchObject({ verdict: "dropped", because });
  });

  test("without a route nothing is sent, and no rule is asked", () => {
    const hostState = {
      ...cloudos1,
      routes: cloudos1.routes.filter(({ destination }) => destination.prefixLength > 0),
    };
    const [branch] = trace({ from: "192.168.1.6", to: "10.100.100.1", port: 7070 }, { hostState });
    expect(branch).toMatchObject({ verdict: "refused", steps: [] });
  });
});

const filter = (...rules: readonly string[]) => `*filter\n:FORWARD ACCEPT [0:0]\n${rules.join("\n")}\nCOMMIT\n`;
const passing: Dialled = { from: "10.5.75.2", to: "8.8.8.8", port: 53 };

describe("what cannot be known", () => {
  test("is a branch that names its cause and what it may come to", () => {
    const [branch] = trace(passing, { rules: filter("-A FORWARD -m time --timestart 10:00 -j DROP") });
    expect(branch).toMatchObject({
      verdict: "undecided",
      probability: { fraction: "1", value: 1 },
      undecidedBy: expect.stringContaining("--timestart"),
    });
    expect(branch?.possible?.map(({ verdict }) => verdict)).toEqual(["dropped", "untouched"]);
  });

  test.for([
    { name: "a rule that only logs", rules: ["-A FORWARD -m limit --limit 3/min -j LOG"] },
    { name: "both answers lead to the same", rules: ["-A FORWARD -m time --timestart 10:00 -j ACCEPT"] },
    {
      name: "a chain that only returns",
      rules: ["-N extra", "-A extra -m time --timestart 10:00 -j RETURN", "-A extra -j LOG", "-A FORWARD -j extra"],
    },
    { name: "another condition of the rule fails", rules: ["-A FORWARD -d 9.9.9.9 -m time --timestart 10:00 -j DROP"] },
  ])("is not a branch where it makes no difference: $name", ({ rules }) => {
    const text = filter(...rules.map((rule) => rule.replace(/^-N (\S+)$/, ":$1 - [0:0]")));
    expect(trace(passing, { rules: text }).map(({ verdict }) => verdict)).toEqual(["untouched"]);
  });

  test("keeps its probability where a chance leads to it", () => {
    const rules = filter("-A FORWARD -m statistic --mode random --probability 0.25 -m time --timestart 10:00 -j DROP");
    const total = trace(passing, { rules }).reduce((sum, { probability }) => sum + probability.value, 0);
    expect(total).toBe(1);
  });

  test("asked twice answers the same", () => {
    const rules = filter(
      "-A FORWARD -m owner ! --uid-owner 0 -m length --length 60 -j ACCEPT",
      "-A FORWARD -m length --length 60 -j DROP",
    );
    const [branch] = trace(passing, { rules });
    // Had the length been 60, the first rule would have accepted: the second cannot drop.
    expect(branch).toMatchObject({ verdict: "untouched" });
  });

  test("is each match of a rule by itself, so that another rule may ask one of them alone", () => {
    const rules = filter(
      "-A FORWARD -m length --length 60 -m limit --limit 3/min -j DROP",
      "-A FORWARD -m length --length 60 -j REJECT --reject-with icmp-port-unreachable",
    );
    const [branch] = trace(passing, { rules });
    expect(branch?.possible?.map(({ verdict }) => verdict)).toEqual(["dropped", "refused", "untouched"]);
  });

  test("is a target, too", () => {
    const [branch] = trace(passing, { rules: filter("-A FORWARD -j NFQUEUE --queue-num 1") });
    expect(branch).toMatchObject({ verdict: "undecided", undecidedBy: expect.stringContaining("NFQUEUE") });
  });

  test("is affinity's list; on a host whose rules were just loaded it is empty", () => {
    const rules = DOCUMENT_RULES.replace(
      "-A KUBE-SVC-1 -m statistic",
      "-A KUBE-SVC-1 -m recent --rcheck --seconds 10800 --reap --name os1 --rsource -j KUBE-SEP-os1my1\n-A KUBE-SVC-1 -m statistic",
    );
    const dialled = { from: "10.5.75.3", to: "10.100.100.1", port: 7070 };
    expect(trace(dialled, { rules }).map(({ verdict }) => verdict)).toEqual(["undecided"]);
    expect(short(trace(dialled, { rules, hostState: { ...cloudos1, recentLists: {} } }))).toHaveLength(2);
  });
});

describe("an end", () => {
  test.for([
    {
      name: "REJECT refuses",
      rules: filter("-A FORWARD -j REJECT --reject-with icmp-port-unreachable"),
      verdict: "refused",
    },
    { name: "DROP drops", rules: filter("-A FORWARD -j DROP"), verdict: "dropped" },
    { name: "a policy of DROP drops", rules: "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", verdict: "dropped" },
    {
      name: "goto does not come back",
      rules: filter(":a - [0:0]", ":b - [0:0]", "-A FORWARD -j a", "-A a -g b", "-A a -j DROP"),
      verdict: "untouched",
    },
    {
      name: "a chain that leads back to itself is not followed",
      rules: filter(":a - [0:0]", "-A FORWARD -j a", "-A a -j a"),
      verdict: "undecided",
    },
  ])("$name", ({ rules, verdict }) => {
    expect(trace(passing, { rules }).map((branch) => branch.verdict)).toEqual([verdict]);
  });
});

describe("who is refused learns of it by a packet of the connection that is refused", () => {
  const { from, to } = passing;
  const refuse = "-A FORWARD -p tcp -j REJECT --reject-with icmp-port-unreachable";
  test.for([
    { name: "which was dialled at another address than the host's own", output: "--ctorigdst 10.5.75.1", isTold: true },
    { name: "which was dialled at that address", output: `--ctorigdst ${to}`, isTold: false },
    { name: "which was dialled by that client", output: `--ctorigsrc ${from}`, isTold: false },
    { name: "which was dialled at that port", output: "--ctorigdstport 53", isTold: false },
    { name: "which was dialled at another port", output: "--ctorigdstport 54", isTold: true },
    { name: "which is one of TCP", output: "--ctproto tcp", isTold: false },
    { name: "which is none of ICMP", output: "--ctproto icmp", isTold: true },
    { name: "of which nobody saw an answer", output: "--ctstatus SEEN_REPLY", isTold: true },
    { name: "which nobody announced", output: "! --ctstatus EXPECTED", isTold: false },
  ])("$name", ({ output, isTold }) => {
    const rules = filter(refuse, `-A OUTPUT -m conntrack ${output} -j DROP`);
    expect(trace(passing, { rules })).toMatchObject([{ verdict: "refused", reply: { returns: isTold } }]);
  });
});

test("a thousand endpoints are a thousand branches with an equal share each, and tell no more than their number", () => {
  const count = 1000;
  const rules = [
    "*nat",
    ":PREROUTING ACCEPT [0:0]",
    ":KUBE-SVC - [0:0]",
    "-A PREROUTING -d 10.100.100.9 -j KUBE-SVC",
    ...Array.from({ length: count }, (_, index) => {
      const chance =
        index === count - 1 ? "" : ` -m statistic --mode random --probability ${(1 / (count - index)).toFixed(11)}`;
      return `-A KUBE-SVC${chance} -p tcp -j DNAT --to-destination 10.5.88.${index % 250}:${3000 + index}`;
    }),
    "COMMIT\n",
  ].join("\n");
  const branches = trace({ from: "10.5.75.2", to: "10.100.100.9" }, { rules });
  expect(branches).toHaveLength(count);
  for (const { probability } of branches) expect(Math.abs(probability.value - 1 / count)).toBeLessThan(1e-9);
  expect(Math.max(...branches.map(({ steps }) => steps.length))).toBeLessThan(20);
});

test("equal ends are one branch", () => {
  const rules = DOCUMENT_RULES.replaceAll("10.5.88.2:3000", "10.5.75.2:3000");
  const branches = trace({ from: "10.5.75.3", to: "10.100.100.1", port: 7070 }, { rules });
  expect(short(branches)).toEqual(["1 accepted 10.5.75.2:3000 as 10.5.75.3:40000 itself true"]);
});

test("another rule that translates its endpoint is one that a packet does not meet", () => {
  const [from, to] = ["10.5.75.2", "10.50.0.1"].map((text) => parseIpAddress(text));
  if (from === undefined || to === undefined) throw new TypeError("no address");
  const { hostState } = documentFixture();
  const container = "-A PREROUTING -p tcp -m tcp --dport 8088 -j DNAT --to-destination 192.168.1.6:8080";
  const vip = "-A PREROUTING -d 10.50.0.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.6:8088";
  const missedIn = (...rules: readonly string[]) => {
    const text = `*nat\n:PREROUTING ACCEPT [0:0]\n${rules.join("\n")}\nCOMMIT\n`;
    const rulesOfHost = parseSave(text, { family: 4 });
    const [branch] = tracePacket({ rules: rulesOfHost, hostState, packet: { from, to, port: 80 } }).branches;
    return branch?.kind === "decided" ? branch.missed : "undecided";
  };
  expect(missedIn(vip, container)).toEqual({ address: "192.168.1.6", ports: { from: 8080, to: 8080 } });
  expect(missedIn(vip)).toBeUndefined();
});

test.for([
  { device: "cni0", from: "10.5.75.2", answered: [] },
  { device: "flannel.1", from: "10.5.75.2", answered: ["accepted 10.5.75.2:3000"] },
])(
  "what comes in by $device, which does not forward while the host does, goes no further",
  ({ device, from, answered }) => {
    const setting = `net.ipv4.conf.${device}.forwarding`;
    const hostState = { ...cloudos1, sysctls: { ...cloudos1.sysctls, [setting]: "0" } };
    const branches = trace({ from, to: "10.100.100.1", port: 7070 }, { hostState });
    const comesBack = branches.filter(({ verdict, reply }) => verdict === "accepted" && reply?.returns === true);
    expect(comesBack.map(({ verdict, endpoint }) => `${verdict} ${endpoint}`)).toEqual(answered);
    expect(JSON.stringify(branches)).toContain(`${setting} is 0`);
  },
);
