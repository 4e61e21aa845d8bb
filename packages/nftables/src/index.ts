export * from "./compile-table.ts";
export * from "./table/format-table.ts";
export * from "./table/nft-table.ts";
export * from "./table/parse-table.ts";
