/** Video and picture files in and out, and the pixel arithmetic of the reference pipelines. @module */

// The form in which video lives inside the project.
export type { Clip } from "./clip.ts";
export { closeCodecProcesses } from "./codec-host.ts";
// Reference vectors.
export { runPreprocessingCase } from "./conformance.ts";
export * from "./contact-sheet.ts";
// Reading: exact frames at chosen times, facts about a file.
export { type DecodedClip, type ProbeOptions, probe, type ReadClipOptions, readClip } from "./decode.ts";
// Writing: mp4 with settings inside, previews, pictures, contact sheets.
export {
  readMp4Metadata,
  type WriteMp4Options,
  type WriteWebpOptions,
  writeAnimatedWebp,
  writeMp4,
  writePng,
} from "./encode.ts";
export { type FfmpegPrograms, findFfmpeg } from "./ffmpeg.ts";
// Which frames and which sizes: the arithmetic of the reference preprocessing.
export * from "./frame-index.ts";
export { MEDIA_BACKENDS, type MediaBackend, type MediaInfo, type RotationDegrees } from "./media-info.ts";
// Between pixels and the numbers that models take.
export * from "./pixels.ts";
export { type FrameRequest, TIME_SLACK_SECS } from "./read-request.ts";
// Pictures and clips: resizing as PIL and torch do it, cropping, frames.
export {
  clipOf,
  coveringSize,
  cropCentre,
  cropTopLeft,
  fitClip,
  frameOf,
  type ImageSize,
  mapFrames,
  RESIZE_METHODS,
  type ResizeMethod,
  type RgbImage,
  resizeBilinearTorch,
  resizeClip,
  resizeImage,
} from "./resize.ts";
export { CHROMA_MODES, type ChromaMode } from "./yuv.ts";
