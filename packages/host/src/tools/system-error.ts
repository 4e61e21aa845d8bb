import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { EnvironmentError } from "@svcproxy/topology";

/** Whose descriptors have run out: this process' (EMFILE) or the whole machine's (ENFILE). Undefined: it is another error. */
function whoseDescriptors(error: unknown): "process" | "machine" | undefined {
  switch (errnoOf(error)) {
    case constants.errno.EMFILE:
      return "process";
    case constants.errno.ENFILE:
      return "machine";
    default:
      return undefined;
  }
}

/**
 * The error for something that could not be done for want of a file descriptor.
 *
 * @param doing what failed, for instance `Cannot run ip`
 * @returns undefined where `cause` is another error
 */
export function outOfDescriptors(doing: string, cause: unknown): EnvironmentError | undefined {
  const whose = whoseDescriptors(cause);
  if (whose === undefined) return undefined;
  return new EnvironmentError("OUT_OF_DESCRIPTORS", `${doing}: this ${whose} has no file descriptor left`, {
    cause,
    hint:
      whose === "machine"
        ? "End what keeps so many files open, or raise the limit: sysctl fs.file-max"
        : "Raise the limit first: ulimit -n 65536, or LimitNOFILE= in the systemd unit",
  });
}

/** A system call's error, `EACCES` for instance. Undefined: it is no error of the system. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What the system says, `ENOMEM` for instance; else the message of the error. */
export function systemReason(error: unknown): string {
  const errno = errnoOf(error);
  const named = errno === undefined ? undefined : getSystemErrorMap().get(-errno)?.[0];
  return named ?? systemCode(error) ?? (error instanceof Error ? error.message : String(error));
}

/** For `catch`: that an error with this code is expected. */
export function unlessSystem(code: string): (error: unknown) => void {
  return (error) => {
    if (systemCode(error) !== code) throw error;
  };
}

/** As a positive number; `os` keeps it in `info`, and the other modules make it negative. */
function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const holder = "info" in error && typeof error.info === "object" && error.info !== null ? error.info : error;
  return "errno" in holder && typeof holder.errno === "number" ? Math.abs(holder.errno) : undefined;
}
