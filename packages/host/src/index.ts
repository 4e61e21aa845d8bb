export * from "./data-path.ts";
export * from "./service-port-statuses.ts";
