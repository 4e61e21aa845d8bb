import { expect, test } from "vitest";
import { parseEtcdSettings, parseEtcdUrl } from "./etcd-place.ts";
import { isEtcdUrl } from "./is-etcd-url.ts";

test.for([
  {
    url: "etcd://a,[fd00::1]:4001/svc/",
    place: {
      endpoints: [
        { host: "a", port: 2379 },
        { host: "fd00::1", port: 4001 },
      ],
      prefix: "/svc",
      isTls: false,
    },
  },
  {
    url: "etcds://u:p%40%3A@a:2379",
    place: { endpoints: [{ host: "a", port: 2379 }], user: "u", password: "p@:", isTls: true },
  },
  {
    url: "etcd://a/p?ca=/x/ca.pem&flannelPrefix=/coreos.com/network",
    place: { prefix: "/p", ca: "/x/ca.pem", flannelPrefix: "/coreos.com/network", isTls: true },
  },
  { url: "etcd:///p", place: { endpoints: [], prefix: "/p" } },
])("$url", ({ url, place }) => {
  expect(isEtcdUrl(url)).toBe(true);
  expect(parseEtcdUrl(url)).toMatchObject(place);
});

test.for([
  "etcd://u:secret@a:0/p",
  "etcd://u:secret@a b/p",
  "etcd://u:sec%ret@a/p",
  "etcd://u:secret@a?cafile=x",
  "etcd://u:secret@a#x",
])("%s is refused, and its password is not repeated", (url) => {
  expect(() => parseEtcdUrl(url)).toThrow(expect.objectContaining({ code: "BAD_ETCD_URL" }));
  expect(() => parseEtcdUrl(url)).not.toThrow(/sec/);
});

test.for(["web.yaml", "etcd", "./etcd://a", "http://a"])("%s is no etcd", (text) => {
  expect(isEtcdUrl(text)).toBe(false);
});

test.for([
  { text: "endpoints: [https://a:2379, b]", place: { endpoints: [{ host: "a" }, { host: "b" }], isTls: true } },
  { text: "endpoints: [a]\nuser: u\npasswordFile: /f\nprefix: /p/", place: { prefix: "/p", isTls: false, user: "u" } },
])("settings: $text", ({ text, place }) => {
  expect(parseEtcdSettings(fileOf(text))).toMatchObject(place);
});

test.for([
  { text: "endpoint: [a]", code: "UNKNOWN_KEY" },
  { text: "endpoints: []", code: "BAD_ETCD_SETTINGS" },
  { text: "endpoints: a", code: "WRONG_TYPE" },
  { text: "", code: "EMPTY_FILE" },
])("settings: $text is refused: $code", ({ text, code }) => {
  expect(() => parseEtcdSettings(fileOf(text))).toThrow(expect.objectContaining({ code }));
});

function fileOf(text: string) {
  return { file: "etcd.yaml", bytes: Buffer.from(text) };
}
