export * from "./addresses.ts";
export * from "./data-path.ts";
export * from "./descriptor-reserve.ts";
export * from "./run-tool.ts";
export * from "./service-port-statuses.ts";
export * from "./sysctls.ts";
export * from "./system-error.ts";
export * from "./tool-path.ts";
