import { Argument, type Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { Shell } from "../generate/render-completion.ts";

/** `svcproxy completion SHELL`. */
export function addCompletion(program: Command, run: RunCommand): void {
  addHelp(program.command("completion"), {
    takesNoMore: "One shell at a time: svcproxy completion bash",
    about: "print a script that completes commands, flags and files in your shell",
    examples: [
      "svcproxy completion bash > ~/.local/share/bash-completion/completions/svcproxy",
      "svcproxy completion zsh > ~/.zfunc/_svcproxy   # a folder of $fpath",
      "svcproxy completion fish > ~/.config/fish/completions/svcproxy.fish",
    ],
  })
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(["bash", "zsh", "fish"]))
    .action((shell: Shell) =>
      run(async (context) => {
        const [{ shapeOf }, { renderCompletion }] = await Promise.all([
          import("../generate/command-shape.ts"),
          import("../generate/render-completion.ts"),
        ]);
        await context.print(renderCompletion(shapeOf(program), shell));
        return 0;
      }),
    );
}
