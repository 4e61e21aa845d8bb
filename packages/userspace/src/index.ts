export * from "./contract.ts";
export { userspaceLimitations } from "./frontend-spec.ts";
export { claimInstance, queryInstance } from "./instance.ts";
export { createProxy } from "./proxy.ts";
