import process from "node:process";

/**
 * The programs that run inside of a lab: `supervise` and `open-sockets SOCKETS`. A bundle without separate files runs them
 * by a hidden command of its own.
 */
export async function runInside([role, argument = "[]"]: readonly string[]): Promise<void> {
  switch (role) {
    case "supervise":
      return (await import("./supervise.ts")).supervise();
    case "open-sockets":
      return (await import("./open-sockets.ts")).openSockets(JSON.parse(argument));
    default:
      process.stderr.write(`svcproxy lab: no such role inside of a lab: ${role}\n`);
      process.exitCode = 2;
  }
}
