import { visible } from "@svcproxy/topology";
import { useEffect, useRef, useState } from "preact/hooks";
import type { PageData, PageState } from "../model.ts";
import { PacketPage } from "./packet-page.tsx";
import { linkTo, type Route, readRoute } from "./route.ts";
import { ServicePage } from "./service-page.tsx";
import { ServicesPage } from "./services-page.tsx";
import { Shown } from "./shown.tsx";
import { type Known, useHash, useKnown } from "./store.ts";
import { plural, timeOf } from "./words.ts";

const ALL_SERVICES = linkTo({ kind: "services", search: "", namespace: "", state: "" });

/** @param isExported whether no server stands behind the page */
export function App({ data, isExported = false }: { readonly data: PageData; readonly isExported?: boolean }) {
  const known = useKnown(data);
  const route = readRoute(useHash());
  useEffect(() => {
    document.title = titleOf(route, known);
  });
  useFocusOfView(route);
  return (
    <>
      <Header known={known} kind={route.kind} isExported={isExported} />
      <main id="main" tabIndex={-1}>
        <OldNote known={known} />
        {known.state === undefined ? (
          <p class="quiet" role="status">
            Reading…
          </p>
        ) : route.kind === "services" ? (
          <ServicesPage state={known.state} counts={known.counts} route={route} />
        ) : route.kind === "service" ? (
          <ServicePage data={data} known={known} state={known.state} id={route.id} host={route.host} />
        ) : (
          <PacketPage data={data} state={known.state} packet={route.packet} />
        )}
      </main>
    </>
  );
}

/** Who goes to another view by the keyboard goes on from its beginning. */
function useFocusOfView(route: Route) {
  const view = route.kind === "service" ? `service ${route.id}` : route.kind;
  const seen = useRef(view);
  useEffect(() => {
    if (seen.current === view) return;
    seen.current = view;
    const main = document.getElementById("main");
    main?.scrollTo(0, 0);
    main?.focus({ preventScroll: true });
  }, [view]);
}

function titleOf(route: Route, { state }: Known): string {
  const where = state?.hosts.map(({ name }) => name).join(", ") ?? "";
  const what =
    route.kind === "services"
      ? "Services"
      : route.kind === "service"
        ? route.id
        : `Packet to ${route.packet.to ?? "…"}`;
  return `${what} · ${where} · svcproxy`;
}

function Header({
  known: { state },
  kind,
  isExported,
}: {
  readonly known: Known;
  readonly kind: Route["kind"];
  readonly isExported: boolean;
}) {
  const current = (isCurrent: boolean) => (isCurrent ? { "aria-current": "page" as const } : {});
  return (
    <header>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <strong class="brand">svcproxy</strong>
      <nav aria-label="Views">
        <a href={ALL_SERVICES} {...current(kind !== "packet")}>
          Services
        </a>
        <a href={linkTo({ kind: "packet", packet: {} })} {...current(kind === "packet")}>
          A packet
        </a>
      </nav>
      <p class="origin">
        {state !== undefined && (
          <>
            <Hosts hosts={state.hosts} />
            <Shown class="quiet source" text={sourceWords(state, isExported)} title={state.source} />
          </>
        )}
      </p>
      <ThemeButton />
    </header>
  );
}

/** Each with what it is; where all are the same, once. */
function Hosts({ hosts }: Pick<PageState, "hosts">) {
  const words = hosts.map(({ dataPath, rules, state }) =>
    [dataPath, rules === "planned" ? "as planned" : "", state].filter(Boolean).join(", "),
  );
  if (hosts.length > 1 && new Set(words).size === 1)
    return (
      <span class="host" title={visible(hosts.map(({ name }) => name).join("\n"))}>
        <b>{plural(hosts.length, "host")}</b> {words[0]}
      </span>
    );
  return hosts.map(({ name }, index) => (
    <span class="host" key={name}>
      <b>
        <Shown text={name} />
      </b>{" "}
      {words[index]}
    </span>
  ));
}

function sourceWords({ source, takenAt }: PageState, isExported: boolean): string {
  return isExported ? `as it was at ${timeOf(takenAt)}, from ${source}` : source;
}

const THEMES = ["auto", "light", "dark"] as const;

function ThemeButton() {
  const [theme, setTheme] = useState<(typeof THEMES)[number]>("auto");
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  return (
    <button
      type="button"
      class="theme"
      onClick={() => setTheme(next)}
      aria-label={`Colours: ${theme}. Change to ${next}`}
    >
      {theme === "auto" ? "◐" : theme === "light" ? "☀" : "☾"}
    </button>
  );
}

function OldNote({ known: { old, state } }: { readonly known: Known }) {
  const stale = state?.hosts.filter(({ staleSince }) => staleSince !== undefined) ?? [];
  if (old === undefined && stale.length === 0) return <div role="status" />;
  return (
    <div role="status" class="old">
      {old !== undefined && (
        <p>
          {state === undefined ? "" : `What you see is as it was at ${timeOf(old.since)}: `}
          <Shown text={old.why} />
        </p>
      )}
      {stale.map(({ name, staleSince = "" }) => (
        <p key={name}>
          <Shown text={name} /> has heard nothing from its source since {timeOf(staleSince)}
        </p>
      ))}
    </div>
  );
}
