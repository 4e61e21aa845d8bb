import { type Command, InvalidArgumentError } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { parseDuration } from "../command-line/parse-duration.ts";
import type { RegisterFlags } from "../etcd/run-register.ts";
import { acceptEtcd, acceptNamespace } from "../flags/etcd-flags.ts";

/** `svcproxy register SERVICE`: keeps an endpoint in etcd while it is well. */
export function addRegister(program: Command, run: RunCommand): void {
  const command = addHelp(program.command("register").argument("<service>", "the service that the endpoint serves"), {
    takesNoMore: "One endpoint of one service at a time: svcproxy register SERVICE --address IP:PORT",
    about: "keep an endpoint of a service in etcd while its check passes",
    notes: [
      "Run it beside the endpoint, on its host. While the check passes it keeps endpoints/NAMESPACE/SERVICE/ID below the prefix, under a lease; when the check fails, that goes. SIGTERM and SIGINT withdraw it: it is terminating for --drain-time, so that new connections go to others, and then gone; a second one does not wait.",
      "Where etcd is out of reach for longer than --ttl the entry goes by itself, and is put back afterwards.",
    ],
    examples: [
      "svcproxy register web --address 10.5.75.2:3000 --check http:/healthz",
      "svcproxy register db --address 10.5.75.3:5432 --check tcp --fall 2",
      "svcproxy register mail --address 10.5.75.4:25 --check 'exec:mail-ready'",
    ],
  })
    .requiredOption("--address <ip[:port]>", "where the endpoint serves; without a port the service's targetPort")
    .option("--check <check>", "tcp, http:/path (200 to 399 passes) or exec:COMMAND (exit code 0 passes)", "tcp")
    .option("--interval <duration>", "time between two checks, and how long one may take", parseInterval, 1_000)
    .option("--rise <n>", "so many passed checks in a row make it well", parseCount, 2)
    .option("--fall <n>", "so many failed checks in a row make it unwell", parseCount, 3)
    .option("--drain-time <duration>", "how long it is terminating at the end", parseDuration, 30_000)
    .option("--id <name>", "what the endpoint is called (default: its address)")
    .option("--host <name>", "the host that runs it, where no host of the topology has its address or podCIDR")
    .option("--ttl <duration>", "how long etcd waits for a sign of life", parseTtl, 10);
  acceptNamespace(acceptEtcd(command)).action((service: string, flags: RegisterFlags) =>
    run(async (context) => {
      const { registerEndpoint } = await import("../etcd/run-register.ts");
      return registerEndpoint(context, service, flags);
    }),
  );
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError("Give a number from 1 to 9999.");
  return Number(text);
}

function parseInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms < 50) throw new InvalidArgumentError("Give 50ms at least.");
  return ms;
}

/** In seconds, as etcd counts. */
function parseTtl(text: string): number {
  const ms = parseDuration(text);
  if (ms < 1_000 || ms > 3_600_000) throw new InvalidArgumentError("Give a duration from 1s to 1h.");
  return Math.ceil(ms / 1_000);
}
