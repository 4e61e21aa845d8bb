import type { BranchJson, TraceJson } from "@svcproxy/rules";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { PageData, PagePacket, PageState } from "../model.ts";
import { TraceDrawing } from "../picture/trace-drawing.tsx";
import { percent } from "../picture/trace-picture.ts";
import { linkTo } from "./route.ts";
import { ScrollBox } from "./scroll-box.tsx";
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
        <Way trace={answer.value} />
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

/** Smaller than this part of its size the picture is not readable any more. */
const READABLE = 0.85;

function Way({ trace }: { readonly trace: TraceJson }) {
  const way = useRef<HTMLElement>(null);
  // Where it dies is what is looked for: it may be far to the right.
  useEffect(() => {
    way.current
      ?.querySelector(".end.dropped, .end.refused, .end.lost, .end.undecided")
      ?.scrollIntoView({ inline: "end", block: "nearest" });
  }, [trace]);
  const json = `data:application/json;charset=utf-8,${encodeURIComponent(JSON.stringify(trace, null, 2))}`;
  return (
    <section aria-labelledby="way" ref={way}>
      <h2 id="way" class="visually-hidden">
        Its way
      </h2>
      <Verdict branches={trace.branches} />
      <ScrollBox label="Picture of the packet's way" class="drawing">
        <TraceDrawing trace={trace} shrinksTo={READABLE} />
      </ScrollBox>
      <details>
        <summary>The same in words</summary>
        <ol>
          {trace.branches.map((branch) => (
            <li key={JSON.stringify([branch.verdict, branch.destination, branch.because, branch.probability.fraction])}>
              <InWords branch={branch} />
            </li>
          ))}
        </ol>
      </details>
      <p>
        <a download="trace.json" href={json}>
          Save as JSON
        </a>{" "}
        <span class="quiet">(what svcproxy trace --json prints)</span>
      </p>
    </section>
  );
}

/** What becomes of it, the worst first: it is what the eye is to meet. */
function Verdict({ branches }: { readonly branches: readonly BranchJson[] }) {
  const lost = branches.filter(({ verdict, reply }) => isBad(verdict) || reply?.returns === false);
  if (lost.length === 0) {
    return (
      <p class="verdict good">
        <span aria-hidden="true">●</span> It arrives
        {branches.length > 1 ? ` at one of ${branches.length} places` : ""}, and the answer comes back.
      </p>
    );
  }
  return (
    <div role="alert">
      <ul class="verdict bad">
        {lost.map(({ verdict, because, probability, reply }) => (
          <li key={`${verdict} ${because} ${probability.fraction}`}>
            <span aria-hidden="true">✕</span> {probability.value < 1 ? `${percent(probability.value)}: ` : ""}
            {isBad(verdict) ? verdict : "the answer is lost"}:{" "}
            <Shown text={isBad(verdict) ? because : (reply?.because ?? "")} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function isBad(verdict: BranchJson["verdict"]): boolean {
  return verdict === "dropped" || verdict === "refused" || verdict === "undecided";
}

function InWords({ branch: { probability, verdict, because, steps, reply } }: { readonly branch: BranchJson }) {
  return (
    <>
      <p>
        {percent(probability.value)}: {verdict}, <Shown text={because} />
      </p>
      <ol>
        {steps.map((step) =>
          step.kind === "hook" ? (
            <li key={JSON.stringify(step)}>
              <b>{step.hook}</b>, from {step.source} to {step.destination}
            </li>
          ) : step.kind === "rule" && step.matched ? (
            <li key={JSON.stringify(step)}>
              <Shown text={`${step.table} ${step.chain} rule ${step.number}:`} />{" "}
              <code>
                <Shown text={step.rule} />
              </code>{" "}
              {step.changes?.join(", ")}
            </li>
          ) : step.kind === "note" ? (
            <li key={JSON.stringify(step)}>{step.text}</li>
          ) : null,
        )}
      </ol>
      {reply !== null && (
        <p>
          The answer: <Shown text={reply.because} />
        </p>
      )}
    </>
  );
}
