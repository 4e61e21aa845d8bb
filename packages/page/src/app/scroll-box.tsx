import type { ComponentChildren } from "preact";

interface ScrollBoxProps {
  readonly label: string;
  readonly class?: string;
  readonly children: ComponentChildren;
}

/** What may be wider than the window, and scrolls by itself. */
export function ScrollBox({ label, class: name, children }: ScrollBoxProps) {
  return (
    // Whoever has no mouse scrolls it by the keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
    <section class={name === undefined ? "scroll" : `scroll ${name}`} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
