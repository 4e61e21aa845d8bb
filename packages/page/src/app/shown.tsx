import { visible } from "@svcproxy/topology";

interface ShownProps {
  readonly text: string;
  readonly class?: string;
  readonly title?: string | undefined;
}

/**
 * A text from a file or a rule. It turns nothing around that stands beside it, and what cannot be seen in it, or turns itself
 * around, is shown by its code.
 */
export function Shown({ text, title, ...more }: ShownProps) {
  return (
    <bdi {...more} {...(title === undefined ? {} : { title: visible(title) })}>
      {visible(text)}
    </bdi>
  );
}
