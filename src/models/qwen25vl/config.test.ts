import { describe, expect, it } from "vitest";
import { TINY_QWEN_FIELDS, tinyQwen } from "../../../test/models/tiny-qwen.ts";
import { QWEN_25_VL_3B, qwenConfig, qwenParameters } from "./index.ts";

describe("configuration", () => {
  it("reads the released flat form and the nested one alike", () => {
    const {
      image_token_id,
      video_token_id,
      vision_start_token_id,
      vision_end_token_id,
      vision_config,
      ...text
    } = TINY_QWEN_FIELDS;
    const { rope_theta, rope_scaling, ...rest } = text;
    const nested = {
      image_token_id,
      video_token_id,
      vision_start_token_id,
      vision_end_token_id,
      vision_config,
      text_config: { ...rest, rope_parameters: { ...rope_scaling, rope_theta } },
    };
    expect(qwenConfig(nested)).toEqual(tinyQwen);
  });

  it("names every field that is missing", () => {
    expect(() => qwenConfig({ ...TINY_QWEN_FIELDS, video_token_id: undefined, vision_config: {} })).toThrow(
      /vision_config\.depth[\s\S]*video_token_id/,
    );
    expect(() => qwenConfig("no")).toThrow(/VANS|configuration/);
  });

  it("refuses fields that contradict each other", () => {
    const refuse = (fields: object, message: RegExp) =>
      expect(() => qwenConfig({ ...TINY_QWEN_FIELDS, ...fields })).toThrow(message);
    refuse({ num_key_value_heads: 3 }, /cannot share 3/);
    refuse({ rope_scaling: { mrope_section: [1, 1, 1] } }, /rotates 6 elements of heads of width 8/);
    refuse({ vision_config: { ...TINY_QWEN_FIELDS.vision_config, out_hidden_size: 16 } }, /width 16/);
    refuse(
      { vision_config: { ...TINY_QWEN_FIELDS.vision_config, window_size: 7 } },
      /smaller than a merge cell/,
    );
    refuse({ hidden_act: "gelu" }, /hidden_act/);
  });

  it("gives the released model its 824 tensors and 3,754,622,976 parameters", () => {
    const shapes = [...qwenParameters(QWEN_25_VL_3B).values()];
    const count = shapes.reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0);
    expect([shapes.length, count]).toEqual([824, 3_754_622_976]);
  });
});
