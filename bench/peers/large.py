"""Modules of transformers and diffusers in the sizes of vans-3b, random weights, for bench/large-peers.ts.

python bench/peers/large.py STAGE DTYPE [--blocks N] [--tokens N]
STAGE: text-encoder (512 tokens), dit (--latent FxHxW latent frames, rows, columns), vlm-prefill, vlm-decode, vae-decode
Only --blocks blocks are made (their time is what a whole model repeats); prints one JSON line with seconds (dit: of one block).
"""
import argparse
import json
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("stage")
parser.add_argument("dtype", choices=["f32", "bf16"])
parser.add_argument("--blocks", type=int, default=1)
parser.add_argument("--tokens", type=int, default=512)
parser.add_argument("--latent", default="6x32x32")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeat", type=int, default=3)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.dtype]


def best(work):
    start = time.perf_counter()
    work()
    first = time.perf_counter() - start
    if first > 10:  # what came first with it matters little then
        return first
    times = []
    for _ in range(args.repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


with torch.inference_mode():
    if args.stage == "text-encoder":
        from transformers import UMT5Config, UMT5EncoderModel

        config = UMT5Config(vocab_size=1000, d_model=4096, d_kv=64, d_ff=10240, num_layers=args.blocks, num_heads=64, feed_forward_proj="gated-gelu")
        model = UMT5EncoderModel(config).to(dtype).eval()
        ids = torch.randint(3, 1000, (1, args.tokens))
        seconds = best(lambda: model(input_ids=ids).last_hidden_state)
    elif args.stage == "dit":
        from diffusers import WanTransformer3DModel

        frames, rows, columns = (int(part) for part in args.latent.split("x"))
        # The defaults of diffusers are the 14 B model's.
        model = WanTransformer3DModel(num_layers=args.blocks, num_attention_heads=12, attention_head_dim=128, ffn_dim=8960).to(dtype).eval()
        latents = torch.randn(1, 16, frames, rows, columns, dtype=dtype)
        context = torch.randn(1, 512, 4096, dtype=dtype)
        moment = torch.tensor([700.0])
        forward = lambda: model(hidden_states=latents, timestep=moment, encoder_hidden_states=context, return_dict=False)[0]
        whole = best(forward)
        blocks = model.blocks
        model.blocks = blocks[:1]
        # A block's own time: embeddings and the end of the model are left out.
        seconds = (whole - best(forward)) / (args.blocks - 1)
    elif args.stage in ("vlm-prefill", "vlm-decode"):
        from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

        config = Qwen2_5_VLTextConfig(
            vocab_size=1000, hidden_size=2048, intermediate_size=11008, num_hidden_layers=args.blocks, num_attention_heads=16,
            num_key_value_heads=2, rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        )
        model = Qwen2_5_VLTextModel(config).to(dtype).eval()
        head = torch.nn.Linear(2048, 151936, bias=False).to(dtype)
        ids = torch.randint(3, 1000, (1, args.tokens))
        if args.stage == "vlm-prefill":
            seconds = best(lambda: head(model(input_ids=ids, use_cache=True).last_hidden_state[:, -1]))
        else:
            cache = model(input_ids=ids, use_cache=True).past_key_values
            one = torch.randint(3, 1000, (1, 1))

            def step():
                head(model(input_ids=one, past_key_values=cache, use_cache=True).last_hidden_state)
                cache.crop(-1)

            args.repeat = 20
            seconds = best(step)
    elif args.stage == "vae-decode":
        from diffusers import AutoencoderKLWan

        frames, rows, columns = (int(part) for part in args.latent.split("x"))
        model = AutoencoderKLWan().to(dtype).eval()
        latents = torch.randn(1, 16, frames, rows, columns, dtype=dtype)
        args.repeat = 1
        seconds = best(lambda: model.decode(latents, return_dict=False)[0])
    else:
        raise SystemExit(f"no stage {args.stage}")
print(json.dumps({"stage": args.stage, "dtype": args.dtype, "blocks": args.blocks, "seconds": seconds}))
