import { type CommandShape, type OptionShape, withSubcommands } from "./command-shape.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** A script that completes commands, flags, their values and files, for a shell to read at its start. */
export function renderCompletion(program: CommandShape, shell: Shell): string {
  const commands = withSubcommands(program);
  const head = `# Completion of svcproxy for ${shell}; made by \`svcproxy completion ${shell}\`\n`;
  switch (shell) {
    case "bash":
      return head + renderBash(commands);
    case "zsh":
      return `#compdef svcproxy\n${head}${renderZsh(commands)}`;
    case "fish":
      return head + renderFish(commands);
  }
}

/** The words of a command as the scripts compare them. */
function pathOf({ words }: CommandShape): string {
  return words.join(" ");
}

/** A word after what is there already: `iptables apply`, ` check`. Patterns of the shell's `case`. */
function pathPatterns(commands: readonly CommandShape[]): string {
  return commands
    .filter(({ words }) => words.length > 0)
    .map(({ words }) => quoted(`${words.slice(0, -1).join(" ")} ${words.at(-1)}`))
    .join("|");
}

/** Which options of which commands take a value of a kind, as patterns: `iptables apply --dialect`. */
function valuePatterns(
  commands: readonly CommandShape[],
  isOfKind: (option: OptionShape) => boolean,
): ReadonlyMap<string, readonly string[]> {
  const patterns = new Map<string, string[]>();
  for (const command of commands) {
    for (const option of command.options.filter((each) => each.value !== undefined && isOfKind(each))) {
      const choices = (option.choices ?? []).join(" ");
      const names = [option.long, ...(option.short === undefined ? [] : [option.short])];
      const list = patterns.get(choices) ?? [];
      list.push(...names.map((name) => quoted(`${pathOf(command)} ${name}`)));
      patterns.set(choices, list);
    }
  }
  return patterns;
}

function valueCases(commands: readonly CommandShape[], { choose, files }: { choose: string; files: string }): string {
  const chosen = valuePatterns(commands, ({ choices }) => choices !== undefined);
  const cases = [...chosen].map(
    ([choices, patterns]) => `    ${patterns.join("|")}) ${choose.replace("%", choices)} ;;`,
  );
  const ofFiles = [...valuePatterns(commands, ({ isFile }) => isFile).values()].flat();
  if (ofFiles.length > 0) cases.push(`    ${ofFiles.join("|")}) ${files} ;;`);
  const others = [
    ...valuePatterns(commands, ({ choices, isFile }) => choices === undefined && !isFile).values(),
  ].flat();
  if (others.length > 0) cases.push(`    ${others.join("|")}) return ;;`);
  return cases.join("\n");
}

function takesFiles({ operands }: CommandShape): boolean {
  return operands.some(({ isFile }) => isFile);
}

/** Words that may stand where no flag does: sub-commands, and what an operand can be. */
function wordsOf({
  subcommands,
  operands,
}: CommandShape): readonly { readonly word: string; readonly about: string }[] {
  return [
    ...subcommands.map(({ words, about }) => ({ word: words.at(-1) ?? "", about })),
    ...operands.flatMap(({ choices = [], about }) => choices.map((word) => ({ word, about }))),
  ];
}

function optionNames({ options }: CommandShape): readonly string[] {
  return options.flatMap(({ short, long }) => (short === undefined ? [long] : [short, long]));
}

function renderBash(commands: readonly CommandShape[]): string {
  const cases = commands.map((command) => {
    const names = wordsOf(command)
      .map(({ word }) => word)
      .join(" ");
    const files = takesFiles(command) ? " files=1" : "";
    return `    ${quoted(pathOf(command))}) words=${quoted(names)} options=${quoted(optionNames(command).join(" "))}${files} ;;`;
  });
  return `_svcproxy() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} at= words= options= files= i
  # --flag=value comes as three words.
  if [[ $current == = ]]; then current=; elif [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${pathPatterns(commands)}) at="\${at:+$at }\${COMP_WORDS[i]}" ;;
      *' --') COMPREPLY=(); compopt -o default; return ;;
    esac
  done
  case "$at $previous" in
${valueCases(commands, { choose: `mapfile -t COMPREPLY < <(compgen -W '%' -- "$current"); return`, files: 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return' })}
  esac
  case "$at" in
${cases.join("\n")}
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"; [[ -z $files ]] || compgen -f -- "$current")
    [[ -z $files ]] || compopt -o filenames
  fi
}
complete -F _svcproxy svcproxy
`;
}

function renderZsh(commands: readonly CommandShape[]): string {
  const described = (name: string, about: string) => quoted(`${name.replaceAll(":", "\\:")}:${about}`);
  const cases = commands.map((command) => {
    const names = wordsOf(command).map(({ word, about }) => described(word, about));
    const options = command.options.flatMap(({ short, long, about }) =>
      (short === undefined ? [long] : [short, long]).map((name) => described(name, about)),
    );
    const files = takesFiles(command) ? " files=1" : "";
    return `    ${quoted(pathOf(command))}) subcommands=(${names.join(" ")}) options=(${options.join(" ")})${files} ;;`;
  });
  return `_svcproxy() {
  local at= files= i
  local -a subcommands options
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      ${pathPatterns(commands)}) at="\${at:+$at }\${words[i]}" ;;
      *' --') _normal; return ;;
    esac
  done
  case "$at \${words[CURRENT-1]}" in
${valueCases(commands, { choose: "compadd -- %; return", files: "_files; return" })}
  esac
  case "$at" in
${cases.join("\n")}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option options
  else
    (( $#subcommands == 0 )) || _describe command subcommands
    [[ -z $files ]] || _files
  fi
}
if [[ $funcstack[1] == _svcproxy ]]; then _svcproxy "$@"; else compdef _svcproxy svcproxy; fi
`;
}

function renderFish(commands: readonly CommandShape[]): string {
  const lines = commands.flatMap((command) => {
    const line = `complete -c svcproxy -n ${quoted(`__svcproxy_is ${quoted(pathOf(command))}`, "fish")}`;
    return [
      ...(takesFiles(command) ? [`${line} -F`] : []),
      ...wordsOf(command).map(({ word, about }) => `${line} -a ${word} -d ${quoted(about, "fish")}`),
      ...command.options.map(({ short, long, value, choices, isFile, about }) => {
        const names = `${short === undefined ? "" : `-s ${short.slice(1)} `}-l ${long.slice(2)}`;
        const takes = choices !== undefined ? ` -x -a ${quoted(choices.join(" "))}` : isFile ? " -r -F" : " -x";
        return `${line} ${names}${value === undefined ? "" : takes} -d ${quoted(about, "fish")}`;
      }),
    ];
  });
  return `function __svcproxy_is --argument-names wanted
    set -l at ''
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case ${pathPatterns(commands).replaceAll("|", " ")}
                set at (string trim -- "$at $word")
        end
    end
    test "$at" = "$wanted"
end
complete -c svcproxy -f
${lines.join("\n")}
`;
}

/** In single quotes. */
function quoted(text: string, shell: "posix" | "fish" = "posix"): string {
  return shell === "fish"
    ? `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`
    : `'${text.replaceAll("'", "'\\''")}'`;
}
