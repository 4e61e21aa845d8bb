import { runTool, type ToolRunner } from "@svcproxy/host";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { coexistenceProblems } from "./coexistence-problems.ts";
import { readForeignRules } from "./read-foreign-rules.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "nsenter"]);
const { signal } = new AbortController();

const TOPOLOGY = `
hosts:
  - { name: one, addresses: [192.168.1.6], podCIDR: 10.5.0.0/24, pods: [{ name: a, address: "10.5.0.2:8080" }] }
services:
  - { name: web, clusterIP: 10.100.0.1, ports: [{ port: 80, nodePort: 30080 }], endpoints: [a] }
`;

/** What other programs load, and what is to be said of it: code and subject. */
const CASES: readonly { readonly name: string; readonly script: string; readonly says: readonly string[] }[] = [
  {
    name: "docker's way of iptables: rules after ours, and forwarding dropped",
    script: `
iptables-nft -t nat -N DOCKER
iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables-nft -P FORWARD DROP
iptables-nft -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A FORWARD -i docker0 ! -o docker0 -j ACCEPT`,
    says: ["FORWARDING_DROPPED chain FORWARD of iptables-nft"],
  },
  {
    name: "the remedy against it",
    script: `
iptables-nft -P FORWARD DROP
iptables-nft -I FORWARD -m conntrack --ctstate DNAT -j ACCEPT`,
    says: [],
  },
  {
    name: "forwarding to the pods' block is accepted",
    script:
      "iptables-nft -P FORWARD DROP\niptables-nft -N FLANNEL\niptables-nft -A FORWARD -j FLANNEL\niptables-nft -A FLANNEL -d 10.5.0.0/16 -j ACCEPT",
    says: [],
  },
  {
    name: "the older iptables drops",
    script: "iptables-legacy -P FORWARD DROP",
    says: ["FORWARDING_DROPPED chain FORWARD of iptables-legacy"],
  },
  {
    name: "a native table with iptables' name drops",
    script: `nft -f - <<'X'
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		tcp dport vmap { 22 : accept }
	}
}
X`,
    says: ["FORWARDING_DROPPED chain ip filter FORWARD"],
  },
  {
    name: "firewalld: its zones refuse what is not let in, and let in what was translated",
    script: `nft -f - <<'X'
table inet firewalld {
	chain nat_PREROUTING {
		type nat hook prerouting priority dstnat + 10; policy accept;
	}
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		reject with icmpx admin-prohibited
	}
}
X`,
    says: [],
  },
  {
    name: "an older firewall without that rule",
    script: `nft -f - <<'X'
table inet fw {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state vmap { invalid : drop, established : accept, related : accept }
		jump zones
	}
	chain zones {
		iifname "eth0" accept
		reject with icmpx admin-prohibited
	}
}
X`,
    says: ["FORWARDING_DROPPED chain inet fw forward"],
  },
  {
    name: "a port forward that is asked before ours",
    script: `nft -f - <<'X'
table ip early {
	chain pre {
		type nat hook prerouting priority -110; policy accept;
		iifname "eth0" tcp dport { 80, 443 } dnat to 10.9.9.9
	}
}
X`,
    says: ["FOREIGN_CHAIN_FIRST chain ip early pre"],
  },
  {
    name: "one at our own priority, for a NodePort",
    script: `nft -f - <<'X'
table inet same {
	map forwards {
		type inet_service : verdict
		elements = { 30080 : jump there }
	}
	chain there {
		meta l4proto tcp redirect to :8080
	}
	chain output {
		type nat hook output priority -105; policy accept;
		fib daddr type local tcp dport vmap @forwards
	}
}
X`,
    says: ["FOREIGN_CHAIN_FIRST chain inet same output"],
  },
  {
    name: "early port forwards of other ports and addresses, and of IPv6",
    script: `nft -f - <<'X'
table inet early {
	chain pre {
		type nat hook prerouting priority -110; policy accept;
		tcp dport 8080 dnat ip to 10.9.9.9
		ip daddr 192.0.2.1 dnat ip to 10.9.9.9
		udp dport 80 dnat ip to 10.9.9.9
		ip6 daddr fd00::/8 dnat ip6 to fd01::1
		ip daddr 10.100.0.0/16 accept
		dnat ip to 10.9.9.9
	}
}
X`,
    says: ["FOREIGN_CHAIN_FIRST chain inet early pre"], // what the last rule takes of NodePorts
  },
  {
    name: "packets that are kept from being tracked",
    script: `nft -f - <<'X'
table ip raw2 {
	chain pre {
		type filter hook prerouting priority raw; policy accept;
		ip daddr 10.100.0.0/16 notrack
	}
}
X`,
    says: ["FOREIGN_CHAIN_FIRST chain ip raw2 pre"],
  },
  {
    name: "what drops invalid packets and spoofed ones",
    script: `nft -f - <<'X'
table inet hardening {
	chain pre {
		type filter hook prerouting priority raw; policy accept;
		fib saddr . iif oif missing drop
		tcp flags & (fin|syn) == fin|syn drop
		ip saddr 10.0.0.0/8 iifname "eth0" drop
	}
	chain mangle {
		type filter hook prerouting priority mangle; policy accept;
		ct state invalid drop
	}
}
X`,
    says: [],
  },
];

describe.skipIf(reason !== undefined)(
  `beside other programs' rules${reason === undefined ? "" : ` (${reason})`}`,
  () => {
    test.concurrent.for(CASES)("$name", async ({ script, says }) => {
      const plan = planHost(parseTopology(Buffer.from(TOPOLOGY), { file: "t" }).topology, { host: "one" });
      await using namespace = await createNetworkNamespace();
      await namespace.run("sh", ["-e"], { input: script });
      const inside: ToolRunner = (tool, args, options) =>
        runTool("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, tool, ...args], { ...options, called: tool });
      const rules = await readForeignRules(
        { run: inside, hasTool: () => true },
        { signal, namedTables: (family) => namedTables(family) },
      );
      const problems = coexistenceProblems(plan, rules);
      expect(problems.map(({ code, subject }) => `${code} ${subject}`)).toEqual(says);
      for (const { text, hint } of problems) expect([text, hint]).not.toContain("");

      async function namedTables(family: 4 | 6): Promise<readonly string[]> {
        const file = `/proc/net/${family === 4 ? "ip" : "ip6"}_tables_names`;
        const { stdout } = await namespace.run("sh", ["-c", `cat ${file} 2>/dev/null || true`]);
        return stdout.split("\n");
      }
    });
  },
);
