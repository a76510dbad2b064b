/**
 * Golden case of CLIP: stages of both towers, embeddings, cosines.
 * @module
 */
import { ClipRunner, clipConfig, clipSimilarity } from "../../src/models/clip/index.ts";
import { Params } from "../../src/nn/index.ts";
import { compile } from "../../src/runtime/index.ts";
import { input, type Tensor } from "../../src/tensor/index.ts";
import { type CaseHandler, checkExact, checkRelative } from "./case.ts";

export const clip: CaseHandler = {
  title: "CLIP",
  recognises: (golden) => golden.hasConfig("transformers_CLIPConfig"),
  async run(golden) {
    const { io } = golden;
    const config = clipConfig(golden.config("transformers_CLIPConfig"));
    const tolerance = golden.tolerance("relative_to_abs_max");
    const weights = golden.file("weights.safetensors").binding();
    const images = io.get("pixel_values");
    const ids = io.get("input_ids");
    const outputs: Record<string, Tensor> = {};
    const probe = (stage: string, value: Tensor): void => {
      outputs[`stage.${stage}`] = value;
    };
    const similarity = clipSimilarity(
      new Params(),
      config,
      input("images", images.shape),
      input("ids", ids.shape, "i32"),
      { probe, mask: input("mask", ids.shape, "i32") },
    );
    outputs["image_embeds"] = similarity.imageEmbeddings;
    outputs["text_embeds"] = similarity.textEmbeddings;
    outputs["cosine"] = similarity.cosine;
    outputs["logits_per_image"] = similarity.logitsPerImage;
    const graph = await compile(outputs, { weights });
    const results = await graph.run({ images, ids, mask: io.get("attention_mask") });
    await graph.release();
    const checks = Object.entries(results).map(([name, value]) =>
      checkRelative(name, value, io.get(name), tolerance),
    );
    const runner = new ClipRunner(config, { weights });
    checks.push(
      checkRelative(
        "image_embeds, compiled",
        await runner.embedImages(images),
        io.get("image_embeds"),
        tolerance,
      ),
      checkRelative("text_embeds, compiled", await runner.embedTexts(ids), io.get("text_embeds"), tolerance),
    );
    await runner.release();
    // The tower needs no mask: it pools where the mask ends.
    const length = ids.shape[1]!;
    const mask = io.get("attention_mask").data;
    const ends = Array.from({ length: ids.shape[0]! }, (_, row) => {
      const own = Array.from(ids.data.subarray(row * length, (row + 1) * length));
      return own.indexOf(Math.max(...own)) + 1;
    });
    const lengths = ends.map(
      (_, row) =>
        Array.from(mask.subarray(row * length, (row + 1) * length)).filter((bit) => bit === 1).length,
    );
    return [...checks, checkExact("attention_mask", ends, lengths)];
  },
};
