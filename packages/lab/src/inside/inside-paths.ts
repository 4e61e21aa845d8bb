/** Where the lab's own files are, on a tmpfs of the lab's; every place sees it. */
export const INSIDE_FOLDER = "/run/svcproxy-lab";
