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
/** Bytes that are fetched before the first answer. */
declare module "virtual:download" {
  const bytes: { readonly suite: number; readonly wasm: number; readonly webgpu: number };
  export default bytes;
}
