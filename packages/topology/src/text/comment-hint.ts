/** JSON has no comments; to YAML, which reads it, they are texts. */
export const COMMENT_HINT = "Comments begin with #; // and /* begin none here";

export function beginsAsComment(text: string): boolean {
  return /^\s*\/[/*]/.test(text);
}
