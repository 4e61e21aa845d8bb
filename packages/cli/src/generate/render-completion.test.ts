import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildProgram } from "../program.ts";
import { shapeOf } from "./command-shape.ts";
import { renderCompletion, SHELLS, type Shell } from "./render-completion.ts";

const folder = mkdtempSync(join(tmpdir(), "svcproxy-completion-"));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "web.yaml"), "");

const program = shapeOf(buildProgram(async () => {}));

/** What each shell offers for the last word of a line. */
const COMPLETE: Readonly<Record<Shell, string>> = {
  bash: `
    source ./script
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _svcproxy 2>/dev/null
    printf '%s\\n' "\${COMPREPLY[@]}"`,
  // The functions of zsh's completion system print what they are given.
  zsh: `
    compdef() { : }
    compadd() { shift; print -l -- "$@" }
    _files() { print -l -- * }
    _describe() { [[ $1 == -o ]] && shift; print -l -- \${\${(P)2}%%:*} }
    source ./script
    words=("$@") CURRENT=$# PREFIX=\${@[-1]}
    _svcproxy`,
  fish: `
    source ./script
    for line in (complete -C "$argv")
        string replace -r '\\t.*' '' -- $line
    end
    true`,
};

function complete(shell: Shell, words: readonly string[]): readonly string[] {
  writeFileSync(join(folder, "script"), renderCompletion(program, shell));
  const args = shell === "fish" ? ["-c", COMPLETE.fish, words.join(" ")] : ["-c", COMPLETE[shell], shell, ...words];
  return execFileSync(shell, args, { cwd: folder, encoding: "utf8" })
    .split("\n")
    .filter((word) => word !== "" && word !== "script" && word.startsWith(words.at(-1) ?? ""))
    .toSorted();
}

describe.for(SHELLS)("in %s", (shell) => {
  test.for([
    { line: "", offers: ["check", "completion", "host-state", "iptables"], not: ["apply", "worker", "help"] },
    { line: "iptables ", offers: ["apply", "cleanup", "diff", "web.yaml"], not: ["check"] },
    { line: "iptables apply ", offers: ["web.yaml"], not: ["apply", "diff"] },
    { line: "iptables apply web.yaml --dry", offers: ["--dry-run"], not: [] },
    { line: "iptables apply --dialect ", offers: ["document", "kubernetes"], not: ["web.yaml"] },
    { line: "iptables --format r", offers: ["restore"], not: ["commands"] },
    { line: "check --config ", offers: ["web.yaml"], not: [] },
    { line: "check --host ", offers: [], not: ["web.yaml"] },
    { line: "host-state ", offers: [], not: ["web.yaml", "--quiet"] },
    { line: "lab up --overlay ", offers: ["host-gw", "vxlan"], not: [] },
    { line: "completion ", offers: ["bash", "fish", "zsh"], not: ["web.yaml"] },
    { line: "trace -", offers: ["--from", "--live", "--quiet", "-q"], not: ["--adopt"] },
  ])("after `svcproxy $line` come $offers", ({ line, offers, not }) => {
    const offered = complete(shell, ["svcproxy", ...line.split(" ")]);
    expect(offered).toEqual(expect.arrayContaining(offers));
    for (const word of not) expect(offered).not.toContain(word);
  });
});
