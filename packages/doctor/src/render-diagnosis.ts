import { listNames, visible, wrapText } from "@svcproxy/topology";
import type { Cause, Diagnosis, OpenQuestion, Sufferer } from "./cause.ts";

const CLIENTS = {
  pod: "pods here",
  host: "this host",
  outside: "clients outside",
  self: "pods that dial themselves",
} as const;

/** For people, at 80 columns: each cause in a line, then what shows it, who did it, and the command that mends it. */
export function renderDiagnosis(diagnosis: Diagnosis): string {
  const { causes, open, looked } = diagnosis;
  const lines = [
    ...causes.flatMap((cause) => [...causeLines(cause, { host: diagnosis.host, indent: "" }), ""]),
    ...open.flatMap((question) => [...questionLines(question), ""]),
    summary(diagnosis),
    `looked at ${looked.services} services, ${looked.ways} ways of packets${looked.dials + looked.pings > 0 ? `, ${looked.dials} connections and ${looked.pings} pings sent` : ", nothing sent"}`,
  ];
  return `${lines.join("\n")}\n`;
}

function summary({ causes, open, host }: Diagnosis): string {
  if (causes.length === 0 && open.length === 0)
    return `${visible(host)}: no cause found, services are served as planned`;
  const parts = [
    ...(causes.length > 0 ? [`${causes.length} cause${causes.length === 1 ? "" : "s"}`] : []),
    ...(open.length > 0 ? [`${open.length} not decided`] : []),
  ];
  return `${visible(host)}: ${parts.join(", ")}`;
}

function causeLines(
  cause: Cause,
  { host, indent }: { readonly host: string; readonly indent: string },
): readonly string[] {
  const { severity, text, code, evidence, suspect, remedy, hint, sufferers, effects } = cause;
  const where = cause.host === host ? "" : `on ${cause.host}: `;
  // A command is one line, however long, so that it can be copied.
  const command = (name: string, value: string) => `${indent}  ${name.padEnd(9)} ${visible(value)}`;
  const field = (name: string, value: string) =>
    wrapText(visible(value), { first: `${indent}  ${name.padEnd(9)} `, next: `${indent}${" ".repeat(12)}` });
  return [
    ...wrapText(`${visible(`${where}${text}`)} [${code}]`, {
      first: `${indent}${severity === "error" ? "✕" : "!"} `,
      next: `${indent}  `,
    }),
    ...evidence.flatMap((line, index) => field(index === 0 ? "seen" : "", line)),
    ...(suspect === undefined ? [] : field("probably", suspect)),
    ...remedy.map((line, index) => command(index === 0 ? "mend" : "", line)),
    ...(hint === undefined || hint === remedy.join(" && ") ? [] : field(remedy.length === 0 ? "mend" : "", hint)),
    ...(sufferers.length === 0 ? [] : field("suffer", describeSufferers(sufferers))),
    ...effects.flatMap((effect) => causeLines(effect, { host, indent: `${indent}  ` })),
  ];
}

function questionLines({ text, way = [], hint, sufferers }: OpenQuestion): readonly string[] {
  return [
    ...wrapText(visible(text), { first: "? ", next: "  " }),
    ...way.flatMap((line, index) =>
      wrapText(visible(line), { first: index === 0 ? "  its way   " : " ".repeat(12), next: " ".repeat(14) }),
    ),
    ...(hint === undefined ? [] : wrapText(visible(hint), { first: "  to decide ", next: " ".repeat(12) })),
    ...(sufferers.length === 0
      ? []
      : wrapText(visible(describeSufferers(sufferers)), { first: "  suffer    ", next: " ".repeat(12) })),
  ];
}

/** `default/web, default/api: from pods here, this host (half of the connections)` */
function describeSufferers(sufferers: readonly Sufferer[]): string {
  const services = listNames(sufferers.map(({ service }) => service).filter((name) => name !== ""));
  const clients = [...new Set(sufferers.map(({ client }) => CLIENTS[client]))].join(", ");
  const least = Math.min(...sufferers.map(({ share }) => share));
  const most = Math.max(...sufferers.map(({ share }) => share));
  const part =
    least >= 0.999
      ? ""
      : least === most
        ? ` (${percent(most)} of the connections)`
        : ` (${percent(least)} to ${percent(most)} of the connections)`;
  return `${services === "" ? "whatever goes there" : services}: from ${clients}${part}`;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}

/** The remedies as a script to read before it is run; each host's commands are told apart. */
export function renderRemedies({ causes, host }: Diagnosis): string {
  const all = causes.flatMap((cause) => [cause, ...cause.effects]);
  const lines = all.flatMap(({ host: at, text, code, remedy, hint }) => {
    const comment = [`# ${visible(text)} [${code}]`, ...(hint === undefined ? [] : [`# ${visible(hint)}`])];
    if (remedy.length === 0) return [...comment, "# no command mends this by itself", ""];
    return [
      ...comment,
      ...remedy.map((command) => (at === host ? visible(command) : `# on ${visible(at)}: ${visible(command)}`)),
      "",
    ];
  });
  return [
    "#!/bin/sh -e",
    `# What svcproxy doctor would do on ${visible(host)}; read it before you run it as root.`,
    "",
    ...lines,
  ].join("\n");
}
