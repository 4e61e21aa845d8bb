import type { Match } from "@svcproxy/rules";
import type { FrontendBlock } from "../dispatch/frontend-block.ts";
import { destination, destinationPorts, moduleMatch, protocolMatch } from "../rule-parts/matches.ts";

/** `-d ADDRESS -p tcp -m tcp --dport PORT`, as the document writes it. */
export function documentMatches({ cidr, protocol, ports }: FrontendBlock): readonly Match[] {
  const matches: Match[] = cidr === undefined ? [] : [destination(cidr)];
  if (protocol === undefined) return matches;
  matches.push(
    protocolMatch(protocol),
    ports === undefined ? moduleMatch(protocol) : destinationPorts(protocol, ports),
  );
  return matches;
}
