import { closeSync, openSync } from "node:fs";

/** Moves this thread between network namespaces: sockets that it makes meanwhile belong to the one it is in. */
export interface NamespaceEntrance {
  /** @throws Error where the kernel refuses */
  enter(namespaceFile: string): void;
  /** Back to where the thread was at first. */
  leave(): void;
}

const CLONE_NEWNET = 0x4000_0000;

/**
 * setns(2) by `node:ffi`.
 *
 * @returns undefined where Node has no such module (before 26.1), or not for this machine
 */
export async function loadNamespaceEntrance(): Promise<NamespaceEntrance | undefined> {
  try {
    const { dlopen } = await import("node:ffi");
    const { functions } = dlopen(null, { setns: { arguments: ["i32", "i32"], return: "i32" } });
    const home = openSync("/proc/self/ns/net", "r");
    const move = (file: number) => functions.setns(file, CLONE_NEWNET) === 0;
    if (!move(home)) return undefined;
    return {
      enter(namespaceFile) {
        const file = openSync(namespaceFile, "r");
        const moved = move(file);
        closeSync(file);
        if (!moved) throw new Error(`setns ${namespaceFile} failed`);
      },
      leave: () => void move(home),
    };
  } catch {
    return undefined;
  }
}
