import { readFileSync } from "node:fs";
import type { Family, HostPlan, Topology } from "@svcproxy/topology";
import { exampleTopology, parseTopology, planHost } from "@svcproxy/topology";
import { isNftRule, type PlacedRule } from "../hooks/any-rule.ts";
import type { HostState } from "../host/host-state.ts";
import { hostStateOf } from "../host/host-state-of.ts";
import type { Deviation, DeviationKind } from "../prove/report/deviation.ts";
import type { RuleSet } from "../rule-set.ts";
import { parseSave } from "../rule-sets/parse-save.ts";

type Dialect = "document" | "kubernetes";

/** What each dialect of the iptables data path does otherwise. */
const DEVIATIONS: Readonly<Record<Dialect, readonly DeviationKind[]>> = {
  document: [
    "host-traffic-masqueraded",
    "nodeport-on-loopback",
    "whole-mark",
    "mark-outlives-packet",
    "outside-clusterip-not-masqueraded",
  ],
  kubernetes: ["host-to-external-not-refused", "unserved-nodeport-on-every-address"],
};

export function deviationsOf(dialect: Dialect): readonly Deviation[] {
  return DEVIATIONS[dialect].map((kind) => ({ kind, text: `${kind}, by design` }));
}

/** A plan with rules that carry it out, as `svcproxy iptables --format restore` printed them. */
export interface ProveFixture {
  readonly name: string;
  readonly family: Family;
  readonly plan: HostPlan;
  readonly hostState: HostState;
  readonly rules: RuleSet;
  readonly deviations: readonly Deviation[];
  readonly isOwn: (placed: PlacedRule) => boolean;
}

export function readFixture(name: string): string {
  return readFileSync(new URL(`../../fixtures/prove/${name}`, import.meta.url), "utf8");
}

/** The founding document's set-up and rules. */
export function documentFixture(): ProveFixture {
  return fixture("cloudos1", {
    topology: exampleTopology().topology,
    host: "cloudos1",
    dialect: "document",
    family: 4,
  });
}

/** One of everything that a plan can promise. */
export function richFixture(dialect: Dialect, family: Family): ProveFixture {
  const { topology } = parseTopology(new TextEncoder().encode(readFixture("rich.yaml")), { file: "rich.yaml" });
  return fixture(`${dialect}-${family}`, { topology, host: "node1", dialect, family });
}

/** A host of the differential tests' world in the kernel, IPv4. */
export function worldFixture(dialect: Dialect): ProveFixture {
  const { topology } = parseTopology(new TextEncoder().encode(readFixture("world.yaml")), { file: "world.yaml" });
  return fixture(`world-${dialect}`, { topology, host: "host", dialect, family: 4 });
}

/** The same host with services that remember their clients. */
export function stickyFixture(dialect: Dialect): ProveFixture {
  return fixture(`sticky-${dialect}`, { topology: stickyTopology(), host: "host", dialect, family: 4 });
}

/** @param nodePortsOn where NodePorts are served: kube-proxy's nftables mode has none on localhost */
export function stickyPlan(nodePortsOn: "localhost" | "primary address"): HostPlan {
  const topology = stickyTopology();
  if (nodePortsOn === "localhost") return planHost(topology, { host: "host" });
  const node = { ...topology.node, localhostNodePorts: false, nodePortsOnPrimaryAddress: true };
  return planHost({ ...topology, node }, { host: "host" });
}

function stickyTopology(): Topology {
  const file = "sticky-world.yaml";
  return parseTopology(new TextEncoder().encode(readFixture(file)), { file }).topology;
}

interface FixtureInput {
  readonly topology: Parameters<typeof planHost>[0];
  readonly host: string;
  readonly dialect: Dialect;
  readonly family: Family;
}

function fixture(name: string, { topology, host, dialect, family }: FixtureInput): ProveFixture {
  const rules = parseSave(readFixture(`${name}.restore`), { family, file: name });
  // Whatever the fixture has in a built-in chain is a hook of ours.
  const hooks = new Set(
    rules.tables.flatMap(({ chains }) =>
      chains.filter(({ name: chain }) => !chain.startsWith("KUBE-")).flatMap((chain) => chain.rules),
    ),
  );
  return {
    name,
    family,
    plan: planHost(topology, { host }),
    deviations: deviationsOf(dialect),
    hostState: { ...hostStateOf(topology, { host }), recentLists: {} },
    rules,
    isOwn: ({ chain, rule }) => chain.startsWith("KUBE-") || (!isNftRule(rule) && hooks.has(rule)),
  };
}
