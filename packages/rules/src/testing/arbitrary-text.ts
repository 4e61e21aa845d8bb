import fc from "fast-check";

/** Names and comments as hostile users would choose them. */
export const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { arbitrary: fc.string({ unit: "binary", maxLength: 8 }), weight: 2 },
      { arbitrary: fc.string({ unit: "grapheme", maxLength: 12 }), weight: 2 },
      {
        arbitrary: fc.constantFrom(
          ...[
            '"',
            "'",
            "\\",
            "\n",
            "\r",
            "\t",
            "\0",
            "$(id)",
            "`id`",
            "$PATH",
            ";",
            "&&",
            "|",
            ">x",
            "#",
            "!",
            " -j ACCEPT",
            "-j",
          ],
          ...[
            "\nCOMMIT\n*filter\n-F\n",
            "\n-A INPUT -j ACCEPT",
            '"\n',
            "\\\n",
            "*",
            "~",
            "%s",
            "\u202e",
            "\u2028",
            "\ud800",
            "…",
            "x".repeat(300),
          ],
        ),
        weight: 5,
      },
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));
