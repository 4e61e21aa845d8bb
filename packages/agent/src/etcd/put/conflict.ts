import { EnvironmentError } from "@svcproxy/topology";

/** Somebody else wrote meanwhile. */
export function conflict(prefix: string): EnvironmentError {
  return new EnvironmentError(
    "ETCD_CONFLICT",
    `Somebody else wrote below ${prefix}/ at the same time; nothing is changed`,
    {
      hint: "Run it again: it shows then what would change",
    },
  );
}
