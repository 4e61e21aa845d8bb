import { EXIT_CODES } from "../command-line/command-context.ts";
import { type CommandShape, type OptionShape, withSubcommands } from "./command-shape.ts";

/** One page of section 1. */
export interface ManPage {
  /** `svcproxy-iptables.1` */
  readonly fileName: string;
  /** roff, as man(7) describes it. */
  readonly text: string;
}

const FILES: readonly (readonly [string, string])[] = [
  ["/etc/svcproxy/topology.yaml", "the topology where the command line names none"],
  ["/run/svcproxy", "what runs: its lock and the socket that tells its status (root; else $XDG_RUNTIME_DIR/svcproxy)"],
  ["/var/cache/svcproxy", "compiled code, only to start sooner (root; else $XDG_CACHE_HOME/svcproxy)"],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["SVCPROXY_LOG_LEVEL", "least level of what is logged: trace, debug, info (default), warn, error"],
  ["NO_COLOR", "where it is set to something, nothing is coloured; nor where TERM is dumb"],
];

/**
 * `svcproxy.1`, and a page for each command, its sub-commands in it.
 *
 * @param release.date as `2026-11-30`
 */
export function renderManPages(
  program: CommandShape,
  { version, date }: { readonly version: string; readonly date: string },
): readonly ManPage[] {
  const page = (shape: CommandShape, sections: readonly string[]): ManPage => {
    const name = ["svcproxy", ...shape.words].join("-");
    const title = `.TH "${name.toUpperCase()}" "1" "${date}" "svcproxy ${version}" "svcproxy"`;
    return { fileName: `${name}.1`, text: `${[title, ...nameSection(name, shape), ...sections].join("\n")}\n` };
  };
  return [
    page(program, programSections(program)),
    ...program.subcommands.map((shape) => page(shape, commandSections(shape, program))),
  ];
}

function programSections(program: CommandShape): readonly string[] {
  return [
    ...section("SYNOPSIS", [".B svcproxy", ".I command", "[options] [operands]"]),
    ...section(
      "COMMANDS",
      program.subcommands.flatMap((shape) => term(`svcproxy-${shape.words.join("-")}(1)`, shape.about)),
    ),
    ...section("OPTIONS", program.options.flatMap(optionLines)),
    ...section("EXIT STATUS", exitStatus()),
    ...section(
      "ENVIRONMENT",
      ENVIRONMENT.flatMap(([name, about]) => term(name, about)),
    ),
    ...section(
      "FILES",
      FILES.flatMap(([name, about]) => term(name, about)),
    ),
  ];
}

function commandSections(shape: CommandShape, program: CommandShape): readonly string[] {
  const all = withSubcommands(shape).filter(({ operands, options }) => operands.length > 0 || options.length > 0);
  const others = program.subcommands.filter(({ words }) => words[0] !== shape.words[0]);
  return [
    ...section(
      "SYNOPSIS",
      all.flatMap((each, index) => [...(index === 0 ? [] : [".br"]), ...synopsis(each)]),
    ),
    ...section("DESCRIPTION", [`${sentence(shape.about)}`, ...paragraphs(shape.notes)]),
    ...section(
      "OPERANDS",
      shape.operands.flatMap(({ usage, about }) => term(usage, about)),
    ),
    ...section("OPTIONS", shape.options.flatMap(optionLines)),
    ...shape.subcommands.flatMap((subcommand) => [
      ...section(`svcproxy ${subcommand.words.join(" ")}`.toUpperCase(), [
        sentence(subcommand.about),
        ...paragraphs(subcommand.notes),
        ...subcommand.operands.flatMap(({ usage, about }) => term(usage, about)),
        ...subcommand.options.flatMap(optionLines),
      ]),
    ]),
    ...section("EXAMPLES", all.flatMap(({ examples }) => examples).flatMap(exampleLines)),
    ...section("EXIT STATUS", exitStatus()),
    ...section("SEE ALSO", [
      ["svcproxy(1)", ...others.map(({ words }) => `svcproxy-${words.join("-")}(1)`)].map(roff).join(",\n"),
    ]),
  ];
}

function nameSection(name: string, { about }: CommandShape): readonly string[] {
  return section("NAME", [`${roff(name)} \\- ${roff(about.replace(/\.$/, ""))}`]);
}

/** Left out where it would be empty. */
function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`.SH "${title}"`, ...lines];
}

function synopsis({ words, operands, options }: CommandShape): readonly string[] {
  return [
    `.B ${roff(["svcproxy", ...words].join(" "))}`,
    ...(options.length > 0 ? ["[options]"] : []),
    ...operands.map(({ usage }) => roff(usage)),
  ];
}

function optionLines({ short, long, value, choices, about }: OptionShape): readonly string[] {
  const names = short === undefined ? long : `${short}, ${long}`;
  const text = choices === undefined ? about : `${about}; one of ${choices.join(", ")}`;
  return term(value === undefined ? names : `${names} ${value}`, text);
}

function exitStatus(): readonly string[] {
  return Object.entries(EXIT_CODES).flatMap(([code, about]) => term(code, about));
}

function exampleLines(example: string): readonly string[] {
  return [".nf", ...example.split("\n").map((line) => `    ${roff(line)}`), ".fi", ".sp"];
}

function paragraphs(notes: readonly string[]): readonly string[] {
  return notes.flatMap((note) => [".PP", roff(note)]);
}

function term(name: string, about: string): readonly string[] {
  return [".TP", `.B ${roff(name)}`, sentence(about)];
}

function sentence(about: string): string {
  const text = `${about.slice(0, 1).toUpperCase()}${about.slice(1)}`;
  return roff(/[.!?]$/.test(text) ? text : `${text}.`);
}

/** A line that begins with a dot or an apostrophe would be a request; a backslash begins an escape, and a bare hyphen is not a minus. */
function roff(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(
      /[^\0-\x7f]/gu,
      (character) => `\\[u${character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}
