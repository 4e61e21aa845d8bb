export * from "./host-state.ts";
export * from "./rule-set.ts";
