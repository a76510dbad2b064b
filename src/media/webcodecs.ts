/**
 * The native codecs that npm installs (node-webcodecs: FFmpeg's LGPL parts, openh264, libvpx, dav1d, SVT-AV1).
 * Loaded on first use, and only inside the codec process.
 * @module
 */
import { createRequire } from "node:module";
import { backendMissing } from "./media-errors.ts";

export type WebCodecs = typeof import("node-webcodecs");

let loaded: Promise<WebCodecs> | undefined;

/**
 * The codec library.
 *
 * @throws VANS_MEDIA_BACKEND_MISSING where no binary exists for this platform
 */
export function loadWebCodecs(what: string): Promise<WebCodecs> {
  loaded ??= load();
  return loaded.catch((cause: unknown) => {
    throw backendMissing(what, cause);
  });
}

async function load(): Promise<WebCodecs> {
  // By itself the library prefers a build that links the system's FFmpeg where one is present: other codecs, other
  // licence, other results. The static build is the same everywhere.
  if (process.env["NODE_WEBCODECS_FORCE"] === undefined && hasStaticBuild()) {
    process.env["NODE_WEBCODECS_FORCE"] = "static";
  }
  const module = (await import("node-webcodecs")) as WebCodecs & { readonly default?: WebCodecs };
  const library = module.default ?? module;
  if (library.getNativeVariant() === undefined)
    throw new Error("node-webcodecs has no native binding for this platform");
  return library;
}

function hasStaticBuild(): boolean {
  try {
    const fromHere = createRequire(import.meta.url);
    const fromLibrary = createRequire(fromHere.resolve("node-webcodecs"));
    fromLibrary.resolve(`@node-webcodecs/static-${process.platform}-${process.arch}`);
    return true;
  } catch {
    return false;
  }
}
