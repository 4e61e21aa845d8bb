import { describeDataPath } from "./data-path-contract.ts";
import { createMemoryHost } from "./memory-data-path.ts";

describeDataPath("a data path in memory", createMemoryHost, { walks: 100 });
