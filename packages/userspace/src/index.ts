export * from "./contract.ts";
export { userspaceLimitations } from "./frontend-spec.ts";
export { createProxy } from "./proxy.ts";
