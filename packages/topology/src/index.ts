export * from "./address.ts";
export * from "./choose-endpoints.ts";
export * from "./errors.ts";
export * from "./host-plan.ts";
export * from "./model.ts";
export * from "./plan-host.ts";
