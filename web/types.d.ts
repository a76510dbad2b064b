/** Files of the suite, by path inside the package. */
declare module "virtual:suite-files" {
  const files: readonly { readonly path: string; readonly bytes: number }[];
  export default files;
}
declare module "virtual:examples" {
  const examples: readonly {
    readonly name: string;
    readonly clip: string;
    readonly question: string;
    readonly about: string;
  }[];
  export default examples;
}
