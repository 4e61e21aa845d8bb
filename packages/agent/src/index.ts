export { FileSource, type FileSourceOptions } from "./files/file-source.ts";
export { type SharedTopology, shareUnchanged } from "./share-unchanged.ts";
export * from "./source.ts";
