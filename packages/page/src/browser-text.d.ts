/** What is written here for browsers, as text: a `.tsx` with all that it imports as one script, a `.css` as it is. */
declare module "*?for-browser" {
  const text: string;
  export default text;
}
