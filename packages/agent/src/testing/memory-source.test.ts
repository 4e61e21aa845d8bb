import { inputError, parseTopology } from "@svcproxy/topology";
import { MemorySource } from "./memory-source.ts";
import { describeSource } from "./source-contract.ts";

describeSource("memory", async () => {
  const source = new MemorySource();
  return {
    source,
    write: async (text) => source.set(parseTopology(Buffer.from(text), { file: "memory" }).topology),
    spoilEntry: async (service) =>
      source.refuse(service, {
        code: "PORT_OUT_OF_RANGE",
        severity: "error",
        subject: service,
        text: "It cannot be read",
      }),
    spoil: async () => source.fail(inputError("FILE_UNREADABLE", "Cannot read what is not there")),
    [Symbol.asyncDispose]: async () => {},
  };
});
