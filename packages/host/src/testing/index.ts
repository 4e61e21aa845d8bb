export * from "./flows/describe-flows.ts";
export * from "./flows/describe-traced-flows.ts";
export type { RuleStyle } from "./flows/flow.ts";
export { EDGE, flowAddress } from "./flows/flow-places.ts";
export type { FlowSubject } from "./flows/flow-subject.ts";
export { readFlowFile } from "./flows/flow-topology.ts";
export type { FlowWorld } from "./flows/flow-world.ts";
export { dialFlow } from "./flows/play-flow.ts";
export { FEATURES, LOCALHOST, NODE_SETTINGS } from "./flows/scenarios/flow-scenarios.ts";
