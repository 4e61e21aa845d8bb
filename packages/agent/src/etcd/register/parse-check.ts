import { type IpAddress, inputError, type Port, parsePort } from "@svcproxy/topology";

/** How an endpoint is asked whether it is well. */
export type Check =
  | { readonly kind: "tcp"; readonly address: IpAddress; readonly port: Port }
  /** A status from 200 to 399 is well. */
  | { readonly kind: "http"; readonly address: IpAddress; readonly port: Port; readonly path: string }
  /** By `sh -c`; exit code 0 is well. */
  | { readonly kind: "exec"; readonly command: string };

const HINT = "It can be tcp, http:/path or exec:COMMAND; tcp:8081 and http:8081/path ask another port";

/**
 * `tcp`, `http:/path` or `exec:COMMAND`.
 *
 * @throws InputError BAD_CHECK
 */
export function parseCheck(
  text: string,
  { address, port: own }: { readonly address: IpAddress; readonly port?: Port | undefined },
): Check {
  if (text.startsWith("exec:") && text.trim() !== "exec:") return { kind: "exec", command: text.slice("exec:".length) };
  const parts = /^(?:(tcp)(?::(\d+))?|http:(\d+)?(\/\S*))$/.exec(text);
  if (parts === null) throw inputError("BAD_CHECK", `Cannot read the check ${JSON.stringify(text)}`, { hint: HINT });
  const [, tcp, tcpPort, httpPort, path = "/"] = parts;
  const named = tcpPort ?? httpPort;
  const port = named === undefined ? own : parsePort(Number(named));
  if (port === undefined) {
    const message =
      named === undefined
        ? `The check ${JSON.stringify(text)} needs a port, and --address has none`
        : `Cannot read the check ${JSON.stringify(text)}: ${named} is no port`;
    throw inputError("BAD_CHECK", message, { hint: HINT });
  }
  return tcp === undefined ? { kind: "http", address, port, path } : { kind: "tcp", address, port };
}
