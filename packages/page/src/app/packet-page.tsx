import { useMemo } from "preact/hooks";
import type { PageData, PagePacket, PageState } from "../model.ts";
import { PacketWay } from "./packet-way.tsx";
import { linkTo } from "./route.ts";
import { Shown } from "./shown.tsx";
import { useAnswer } from "./store.ts";
import { KIND_WORDS, socket } from "./words.ts";

interface PacketPageProps {
  readonly data: PageData;
  readonly state: PageState;
  readonly packet: Partial<PagePacket>;
}

/** One packet's ways through the rules of a host. */
export function PacketPage({ data, state, packet }: PacketPageProps) {
  const asked = wholePacket(packet, state);
  const answer = useAnswer(
    async () => (asked === undefined ? undefined : data.trace(asked)),
    [data, JSON.stringify(asked), state.takenAt],
  );
  return (
    <>
      <h1>A packet</h1>
      <PacketForm state={state} packet={packet} />
      {asked === undefined ? (
        <p class="quiet">
          Name who dials, and what: the way of the first packet through the host's rules is drawn here.
        </p>
      ) : answer.kind === "failed" ? (
        <p class="why" role="alert">
          <Shown text={answer.why} />
        </p>
      ) : answer.kind === "waiting" || answer.value === undefined ? (
        <p role="status">Following it…</p>
      ) : (
        <PacketWay trace={answer.value} />
      )}
    </>
  );
}

function wholePacket(
  { host, from, to, port, protocol = "tcp" }: Partial<PagePacket>,
  state: PageState,
): PagePacket | undefined {
  const place = host ?? state.hosts[0]?.name;
  if (place === undefined || from === undefined || to === undefined) return undefined;
  return { host: place, from, to, protocol, ...(port === undefined ? {} : { port }) };
}

/** Choices beyond this many slow a browser's list down. */
const MAX_CHOICES = 500;

function PacketForm({ state, packet }: Omit<PacketPageProps, "data">) {
  const clients = useMemo(() => clientsOf(state), [state]);
  const targets = useMemo(() => targetsOf(state), [state]);
  const send = (event: Event) => {
    event.preventDefault();
    if (!(event.currentTarget instanceof HTMLFormElement)) return;
    const fields = new FormData(event.currentTarget);
    location.hash = linkTo({ kind: "packet", packet: packetOf(fields) });
  };
  const { to, port } = packet;
  return (
    <form class="packet" onSubmit={send}>
      {state.hosts.length > 1 && (
        <label>
          Through the rules of{" "}
          <select name="host" defaultValue={packet.host ?? ""}>
            {state.hosts.map(({ name }) => (
              <option key={name} selected={name === packet.host}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        From{" "}
        <input
          name="from"
          list="clients"
          required
          defaultValue={packet.from ?? ""}
          key={packet.from}
          placeholder="a pod's or host's address"
        />
      </label>
      <label>
        To{" "}
        <input
          name="to"
          list="targets"
          required
          key={`${to} ${port}`}
          defaultValue={to === undefined ? "" : port === undefined ? to : socket(to, port)}
          placeholder="address:port"
        />
      </label>
      <label>
        Protocol{" "}
        <select name="protocol" key={packet.protocol}>
          {["tcp", "udp", "sctp", "icmp"].map((protocol) => (
            <option key={protocol} selected={protocol === (packet.protocol ?? "tcp")}>
              {protocol}
            </option>
          ))}
        </select>
      </label>
      <button type="submit">Follow it</button>
      <datalist id="clients">
        {clients.map(({ value, label }) => (
          <option key={value} value={value} label={label} />
        ))}
      </datalist>
      <datalist id="targets">
        {targets.map(({ value, label }) => (
          <option key={`${value} ${label}`} value={value} label={label} />
        ))}
      </datalist>
    </form>
  );
}

interface Choice {
  readonly value: string;
  readonly label: string;
}

function clientsOf({ places }: PageState): readonly Choice[] {
  return places
    .flatMap(({ name, addresses, pods }) => [
      ...addresses.map((address) => ({ value: address, label: `host ${name}` })),
      ...pods.flatMap((pod) => pod.addresses.map((address) => ({ value: address, label: `${pod.name} on ${name}` }))),
    ])
    .slice(0, MAX_CHOICES);
}

function targetsOf({ services, places }: PageState): readonly Choice[] {
  const own = places.flatMap(({ addresses }) => addresses);
  return services
    .flatMap(({ id, ports }) =>
      ports.flatMap(({ addresses, port, nodePort }) => [
        ...addresses.map(({ address, kind }) => ({
          value: socket(address, port),
          label: `${id}, ${KIND_WORDS[kind]}`,
        })),
        ...(nodePort === undefined
          ? []
          : own.slice(0, 2).map((address) => ({ value: socket(address, nodePort), label: `${id}, NodePort` }))),
      ]),
    )
    .slice(0, MAX_CHOICES);
}

function packetOf(fields: FormData): Partial<PagePacket> {
  const field = (name: string) => {
    const value = fields.get(name);
    return typeof value === "string" ? value.trim() : "";
  };
  const { address, port } = readSocket(field("to"));
  const host = field("host");
  return {
    from: field("from"),
    to: address,
    protocol: field("protocol"),
    ...(port === undefined ? {} : { port }),
    ...(host === "" ? {} : { host }),
  };
}

/** Reads `10.0.0.1:80`, `[fd00::1]:80`, `10.0.0.1`, `fd00::1`. */
export function readSocket(text: string): { readonly address: string; readonly port?: number } {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:]+)):(?<port>\d+)$/.exec(text);
  const { v4, v6, port } = match?.groups ?? {};
  return port === undefined
    ? { address: text.replace(/^\[(.*)\]$/, "$1") }
    : { address: v6 ?? v4 ?? "", port: Number(port) };
}
