/** Whether a text on the command line means etcd, and no file. Apart from its reader, which most commands never load. */
export function isEtcdUrl(text: string): boolean {
  return /^etcds?:\/\//.test(text);
}
