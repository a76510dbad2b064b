/** Weight files: safetensors, torch `.pth`, half types, sharded folders, name maps, load reports. @module */

export { type AdapterTensors, alphaNames, matchAdapter } from "./adapter.ts";
export { writeFileAtomically } from "./atomic-file.ts";
export {
  type CaseCheck,
  type CaseDescription,
  CaseFolder,
  exactCheck,
  openCase,
  sameNumbers,
} from "./case-folder.ts";
export { runFormatsCase } from "./conformance.ts";
export * from "./export-adapter.ts";
export * from "./half.ts";
export {
  blobHash,
  type CachedFile,
  cachedFiles,
  type HubEnvironment,
  type HubSource,
  hubCacheFolder,
  isCommit,
  RepoCache,
} from "./hub-cache.ts";
export { type DownloadOptions, downloadFile, type RemoteFile } from "./hub-download.ts";
export { removeSources, type VerifiedFile, verifySources } from "./hub-kept.ts";
export {
  type PullOptions,
  type PullProgress,
  pullSources,
  type StoreOptions,
} from "./hub-store.ts";
export * from "./key-map.ts";
export * from "./load-report.ts";
export * from "./lora-names.ts";
export * from "./open-weights.ts";
export { type OpenPthOptions, openPth, PthTensor, type PthValue, readPthTensor, readPthTree } from "./pth.ts";
export * from "./quantize.ts";
export { readRows } from "./read-rows.ts";
export {
  readSafetensors,
  readSafetensorsHeader,
  readTensor,
  type SafetensorsHeader,
  type WritableTensor,
  type WriteSafetensorsOptions,
  writeSafetensors,
} from "./safetensors.ts";
export {
  type PlannedTensor,
  safetensorsHead,
  type TensorBytes,
  writeSafetensorsStream,
} from "./safetensors-stream.ts";
export {
  asFloat32,
  BYTES_OF_DTYPE,
  elementCount,
  type StoredDtype,
  type StoredTensor,
  type TensorElements,
  type TensorInfo,
} from "./tensor-data.ts";
export * from "./tensor-table.ts";
export type { WeightSource } from "./weight-source.ts";
