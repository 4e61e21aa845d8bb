import { type Expectation, VERDICTS } from "@svcproxy/rules";
import { formatSocketAddress, inputError, parseIpAddress, parseSocketAddress } from "@svcproxy/topology";

/** The `expect` of an entry of `--packets`. @throws InputError BAD_EXPECTATION */
export function readExpectation(value: unknown): Expectation {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("`expect` is not an object");
  const words: Readonly<Record<string, unknown>> = { ...value };
  const unknown = Object.keys(words).find((key) => !["verdict", "endpoints", "masqueraded"].includes(key));
  if (unknown !== undefined) throw bad(`\`expect\` has no key ${JSON.stringify(unknown)}`);
  const { verdict, endpoints, masqueraded } = words;
  const known = VERDICTS.find((one) => one === verdict);
  if (verdict !== undefined && known === undefined) throw bad(`${JSON.stringify(verdict)} is not a verdict`);
  if (masqueraded !== undefined && typeof masqueraded !== "boolean") throw bad("`masqueraded` is true or false");
  return {
    ...(known === undefined ? {} : { verdict: known }),
    ...(endpoints === undefined ? {} : { endpoints: readEndpoints(endpoints) }),
    ...(masqueraded === undefined ? {} : { masqueraded }),
  };
}

function readEndpoints(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw bad("`endpoints` is a list of ip:port");
  return value.map((entry: unknown) => {
    const text = typeof entry === "string" ? entry : "";
    const socket = parseSocketAddress(text);
    const endpoint = socket === undefined ? parseIpAddress(text) : formatSocketAddress(socket);
    if (endpoint !== undefined) return endpoint;
    throw bad(`${JSON.stringify(entry)} is not ip:port`);
  });
}

function bad(what: string): Error {
  return inputError("BAD_EXPECTATION", `Cannot read what a packet is expected to come to: ${what}`, {
    hint: `expect: { verdict: ${VERDICTS.join("|")}, endpoints: ["ip:port"], masqueraded: true|false }`,
  });
}
