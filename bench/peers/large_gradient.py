"""Checks gradients of one Wan block against torch autograd. Called by bench/large-gradient.ts with a safetensors file."""
import sys

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from safetensors.torch import load_file

torch.set_num_threads(2)
data = load_file(sys.argv[1])
layers = dict(pair.split("=") for pair in sys.argv[2:])
weights = {name[2:]: value for name, value in data.items() if name.startswith("w.")}
dim, ffn = weights["ffn.net.2.weight"].shape
block = WanTransformerBlock(dim, ffn, dim // 128, "rms_norm_across_heads", True, 1e-6)
factors = {name[5:]: value.clone().requires_grad_() for name, value in data.items() if name.startswith("lora.")}
rank = next(value.shape[0] for name, value in factors.items() if ".lora_A." in name)
scale = 8 / rank
used = dict(weights)
for ours, theirs in layers.items():
    a, b = factors[f"{ours}.lora_A.weight"], factors[f"{ours}.lora_B.weight"]
    used[theirs] = weights[theirs] + scale * (b @ a)
x = data["in.x"].clone().requires_grad_()
turn = [data[f"in.{name}"].repeat_interleave(2, dim=-1).unsqueeze(2) for name in ("cos", "sin")]
y = torch.func.functional_call(block, used, (x, data["in.text"], data["in.modulation"], tuple(turn)))
(y * data["in.dy"]).sum().backward()
worst = 0.0
for name, ours, theirs in [("x", data["out.dx"], x.grad)] + [(name, data[f"out.d:{name}"], value.grad) for name, value in factors.items()]:
    error = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    worst = max(worst, error)
    if name == "x" or error > 1e-3:
        print(f"{name}: {error:.2e}")
print(f"worst of {len(factors) + 1} gradients: {worst:.2e}")
sys.exit(0 if worst < 1e-3 else 1)
