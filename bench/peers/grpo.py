"""PyTorch side of `npm run bench -- grpo`: one update of each stage, on the suite's own weights.

The models are written as one would write them in PyTorch: modules, scaled_dot_product_attention, a key-value cache for
sampling, batches where the work allows them, autograd and fused AdamW. Random draws come from the caller, so that both sides
draw the same tokens and videos and do the same amount of work: tokens are sampled here as usual, then replaced by the given
ones; noise is given.

Requests on stdin: {"do": "load", "suite", "threads"}, {"do": "stage-1" | "stage-2", "tensors", "plan"}. Answers on stdout.
"""

import json
import math
import os
import re
import struct
import sys
import time

import torch
from engine import Decoder, Encoder, CausalConv, WanDit, rope_tables
from torch import nn
from torch.nn import functional as F

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "I32": torch.int32, "U8": torch.uint8}


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            flat = torch.frombuffer(body, dtype=DTYPES[entry["dtype"]], count=(end - start) // DTYPES[entry["dtype"]].itemsize, offset=start)  # fmt: skip
            flat = flat.float() if flat.is_floating_point() else flat.clone()
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def read_json(path):
    with open(path) as file:
        return json.load(file)


# --- adapters --------------------------------------------------------------------------------------------------


class Lora(nn.Module):
    """A linear layer with low-rank factors beside it, which can be switched off."""

    enabled = True

    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base = base
        self.lora_A = nn.Parameter(torch.zeros(rank, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        y = self.base(x)
        return y + F.linear(F.linear(x, self.lora_A), self.lora_B) * self.scale if Lora.enabled else y


def add_lora(model, targets, rank, alpha):
    for p in model.parameters():
        p.requires_grad_(False)
    for name, module in list(model.named_modules()):
        for child, layer in list(module.named_children()):
            path = f"{name}.{child}".lstrip(".")
            if isinstance(layer, nn.Linear) and targets(path):
                setattr(module, child, Lora(layer, rank, alpha))


def set_adapters(model, tensors):
    """Sets the factors of all adapters; returns the parameters."""
    trained = []
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, Lora):
                module.lora_A.copy_(tensors[f"lora:{name}.lora_A.weight"])
                module.lora_B.copy_(tensors[f"lora:{name}.lora_B.weight"])
                trained += [module.lora_A, module.lora_B]
    return trained


# --- language model --------------------------------------------------------------------------------------------


class RmsNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotate_half(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class GatedMlp(nn.Module):
    def __init__(self, width, inner, bias):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, inner, bias), nn.Linear(width, inner, bias)
        self.down_proj = nn.Linear(inner, width, bias)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class VisionAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, cos, sin):
        """x [windows, patches, C]"""
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(rotate_half(q, cos, sin), rotate_half(k, cos, sin), v)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, width))


class VisionBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = c["hidden_size"]
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.attn = VisionAttention(width, c["num_heads"])
        self.mlp = GatedMlp(width, c["intermediate_size"], True)

    def forward(self, x, cos, sin):
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    def __init__(self, width, out, cell):
        super().__init__()
        self.ln_q = RmsNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width * cell, width * cell), nn.GELU(), nn.Linear(width * cell, out))

    def forward(self, x):
        return self.mlp(self.ln_q(x).flatten(-2))


class Vision(nn.Module):
    """The tower for clips whose patches divide into whole windows."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        width, patch = c["hidden_size"], c["patch_size"]
        kernel = (c["temporal_patch_size"], patch, patch)
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv3d(c["in_channels"], width, kernel, kernel, bias=False)
        self.blocks = nn.ModuleList(VisionBlock(c) for _ in range(c["depth"]))
        self.merger = Merger(width, c["out_hidden_size"], c["spatial_merge_size"] ** 2)

    def plan(self, grid):
        """Order of the merge cells window by window, and rotary tables in that order."""
        times, rows, columns = grid
        merge = self.c["spatial_merge_size"]
        side = self.c["window_size"] // self.c["patch_size"] // merge
        cells = torch.arange(times * (rows // merge) * (columns // merge))
        cells = cells.view(times, rows // merge // side, side, columns // merge // side, side)
        order = cells.permute(0, 1, 3, 2, 4).reshape(-1)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        by_cell = [t.view(rows // merge, merge, columns // merge, merge).permute(0, 2, 1, 3).reshape(-1, merge**2) for t in (y, x)]  # fmt: skip
        quarter = self.c["hidden_size"] // self.c["num_heads"] // 4
        frequencies = 10000 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
        angles = torch.cat([t.repeat(times, 1)[order].reshape(-1, 1) * frequencies for t in by_cell], dim=1)
        return order, angles.cos().float(), angles.sin().float(), (merge * side) ** 2

    def forward(self, patches, grid):
        """patches [clips, N, width of a patch]; [clips, N / merge², C]"""
        clips, count, _ = patches.shape
        order, cos, sin, window = self.plan(grid)
        cell = self.c["spatial_merge_size"] ** 2
        x = patches.view(clips, count // cell, cell, -1)[:, order]
        x = F.linear(x, self.patch_embed.proj.weight.flatten(1)).view(clips, count, -1)
        for i, block in enumerate(self.blocks):
            length = count // grid[0] if i in self.c["fullatt_block_indexes"] else window
            tables = [t.view(count // length, 1, length, -1).repeat(clips, 1, 1, 1) for t in (cos, sin)]
            x = block(x.reshape(-1, length, x.shape[-1]), *tables).view(clips, count, -1)
        merged = self.merger(x.view(clips, count // cell, cell, -1))
        return merged[:, torch.argsort(order)]


class SelfAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = c["hidden_size"]
        self.heads, self.kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
        self.head = width // self.heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj, self.v_proj = (nn.Linear(width, self.kv_heads * self.head) for _ in range(2))
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x, cos, sin, mask, cache=None, at=0):
        b, s, _ = x.shape
        q = rotate_half(self.q_proj(x).view(b, s, self.heads, self.head).transpose(1, 2), cos, sin)
        k = rotate_half(self.k_proj(x).view(b, s, self.kv_heads, self.head).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(b, s, self.kv_heads, self.head).transpose(1, 2)
        if cache is not None:
            cache[0][:, :, at : at + s], cache[1][:, :, at : at + s] = k, v
            k, v = cache[0][:, :, : at + s], cache[1][:, :, : at + s]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(b, s, -1))


class DecoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = (RmsNorm(c["hidden_size"], c["rms_norm_eps"]) for _ in range(2))
        self.self_attn = SelfAttention(c)
        self.mlp = GatedMlp(c["hidden_size"], c["intermediate_size"], False)

    def forward(self, x, *rest):
        x = x + self.self_attn(self.input_layernorm(x), *rest)
        return x + self.mlp(self.post_attention_layernorm(x))


class Qwen(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.visual = Vision(c["vision_config"])
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.model.layers = nn.ModuleList(DecoderLayer(c) for _ in range(c["num_hidden_layers"]))
        self.model.norm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])

    def tables(self, positions):
        """positions [3, B, S]; [B, 1, S, head / 2]"""
        half = self.c["hidden_size"] // self.c["num_attention_heads"] // 2
        frequencies = (self.c["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)).float()
        axis = torch.repeat_interleave(torch.arange(3), torch.tensor(self.c["rope_scaling"]["mrope_section"]))
        angles = positions.float()[axis].permute(1, 2, 0) * frequencies
        return angles.cos()[:, None], angles.sin()[:, None]

    def embed(self, ids, features):
        x = self.model.embed_tokens(ids)
        if features is None:
            return x
        return x.masked_scatter((ids == self.c["video_token_id"])[..., None], features)

    def forward(self, x, positions, mask, caches=None, at=0):
        cos, sin = self.tables(positions)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, mask, None if caches is None else caches[i], at)
        return self.model.norm(x)

    def logits(self, x):
        return F.linear(x, self.model.embed_tokens.weight)


def causal_mask(valid):
    """valid [B, S]; added to scores, [B, 1, S, S]"""
    s = valid.shape[1]
    seen = torch.ones(s, s, dtype=torch.bool).tril() & valid[:, None, :].bool()
    return torch.zeros(seen.shape).masked_fill(~seen, -1e9)[:, None]


@torch.no_grad()
def respond(qwen, patches, grid, batch, samples, banned, tokens):
    """Samples `samples` responses a prompt with a cache; the given tokens replace what was sampled."""
    total = tokens.shape[1]
    prompt = batch["ids"].shape[1] - batch["places"]
    first = int(batch["mask"][:, :prompt].argmax(1).min())
    ids, valid = batch["ids"][::samples, first:prompt].long(), batch["mask"][::samples, first:prompt]
    positions = batch["positions"][:, ::samples, first:prompt]
    features = qwen.visual(patches, grid).flatten(0, 1)
    length, rows = ids.shape[1], ids.shape[0] * samples
    attn = qwen.model.layers[0].self_attn
    caches = [[torch.zeros(ids.shape[0], attn.kv_heads, length, attn.head) for _ in range(2)] for _ in qwen.model.layers]
    hidden = qwen(qwen.embed(ids, features), positions, causal_mask(valid), caches)
    logits = qwen.logits(hidden[:, -1]).repeat_interleave(samples, 0)
    # Every sample has the prompt's keys and values, with room behind them.
    def widened(x):
        out = torch.zeros(rows, attn.kv_heads, length + total, attn.head)
        out[:, :, :length] = x.repeat_interleave(samples, 0)
        return out
    caches = [[widened(x) for x in cache] for cache in caches]
    valid = torch.cat([valid.repeat_interleave(samples, 0).bool(), torch.ones(rows, total, dtype=torch.bool)], 1)
    log_probs = torch.zeros(rows, total)
    steps = int(batch["lengths"].max())
    for t in range(steps):
        log_p = logits.log_softmax(-1)
        torch.multinomial(logits.index_fill(1, banned, -torch.inf).softmax(-1), 1)
        chosen = tokens[:, t].long()
        log_probs[:, t] = log_p.gather(1, chosen[:, None])[:, 0]
        if t + 1 == steps:
            break
        at = length + t
        mask = torch.zeros(rows, 1, 1, at + 1).masked_fill(~valid[:, None, None, : at + 1], -1e9)
        hidden = qwen(qwen.embed(chosen[:, None], None), batch["positions"][:, :, prompt + t, None], mask, caches, at)
        logits = qwen.logits(hidden[:, 0])
    return log_probs


def completion_log_probs(qwen, patches, grid, batch, samples):
    prompt = batch["ids"].shape[1] - batch["places"]
    ids = batch["ids"].long()
    features = qwen.visual(patches, grid).repeat_interleave(samples, 0).flatten(0, 1)
    hidden = qwen(qwen.embed(ids, features), batch["positions"], causal_mask(batch["mask"]))
    logits = qwen.logits(hidden[:, prompt - 1 : -1])
    return -F.cross_entropy(logits.transpose(1, 2), ids[:, prompt:], reduction="none")


# --- text encoder ----------------------------------------------------------------------------------------------


class Umt5Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        inner = c["num_heads"] * c["d_kv"]
        self.c = c
        self.q, self.k, self.v = (nn.Linear(c["d_model"], inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, c["d_model"], bias=False)
        self.relative_attention_bias = nn.Embedding(c["relative_attention_num_buckets"], c["num_heads"])

    def buckets(self, length):
        places = torch.arange(length)
        distance = places[None] - places[:, None]
        half = self.c["relative_attention_num_buckets"] // 2
        exact = half // 2
        size = distance.abs()
        span = math.log(self.c["relative_attention_max_distance"] / exact)
        far = exact + (torch.log(size.clamp(min=1).float() / exact) / span * (half - exact)).long()
        return (distance > 0) * half + torch.where(size < exact, size, far.clamp(max=half - 1))

    def forward(self, x, key_mask):
        b, s, _ = x.shape
        q, k, v = (f(x).view(b, s, self.c["num_heads"], -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        bias = self.relative_attention_bias(self.buckets(s)).permute(2, 0, 1)[None] + key_mask
        return self.o(F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1).transpose(1, 2).reshape(b, s, -1))


class Umt5Layer(nn.Module):
    def __init__(self, c, name, inner):
        super().__init__()
        self.layer_norm = RmsNorm(c["d_model"], c["layer_norm_epsilon"])
        setattr(self, name, inner)
        self.inner = name

    def forward(self, x, *rest):
        return x + getattr(self, self.inner)(self.layer_norm(x), *rest)


class GatedGelu(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(c["d_model"], c["d_ff"], bias=False) for _ in range(2))
        self.wo = nn.Linear(c["d_ff"], c["d_model"], bias=False)

    def forward(self, x):
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class Umt5(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.shared = nn.Embedding(c["vocab_size"], c["d_model"])
        self.encoder = nn.Module()
        self.encoder.block = nn.ModuleList()
        for _ in range(c["num_layers"]):
            block = nn.Module()
            block.layer = nn.ModuleList([
                Umt5Layer(c, "SelfAttention", Umt5Attention(c)), Umt5Layer(c, "DenseReluDense", GatedGelu(c)),
            ])  # fmt: skip
            self.encoder.block.append(block)
        self.encoder.final_layer_norm = RmsNorm(c["d_model"], c["layer_norm_epsilon"])

    def forward(self, ids, mask):
        key_mask = (1 - mask.float())[:, None, None] * -1e9
        x = self.shared(ids.long())
        for block in self.encoder.block:
            x = block.layer[1](block.layer[0](x, key_mask))
        return self.encoder.final_layer_norm(x) * mask[..., None]


# --- CLIP ------------------------------------------------------------------------------------------------------


class ClipAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x, causal):
        b, s, c = x.shape
        q, k, v = (f(x).view(b, s, self.heads, -1).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(b, s, c))


class ClipLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, eps = c["hidden_size"], c["layer_norm_eps"]
        self.self_attn = ClipAttention(width, c["num_attention_heads"])
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, c["intermediate_size"]), nn.Linear(c["intermediate_size"], width)

    def forward(self, x, causal):
        x = x + self.self_attn(self.layer_norm1(x), causal)
        h = self.mlp.fc1(self.layer_norm2(x))
        return x + self.mlp.fc2(h * torch.sigmoid(1.702 * h))


class ClipTower(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embeddings, self.encoder = nn.Module(), nn.Module()
        self.encoder.layers = nn.ModuleList(ClipLayer(c) for _ in range(c["num_hidden_layers"]))


class Clip(nn.Module):
    MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

    def __init__(self, c):
        super().__init__()
        v, t = c["vision_config"], c["text_config"]
        self.eos = t["eos_token_id"]
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.vision_model, self.text_model = ClipTower(v), ClipTower(t)
        e, width = self.vision_model.embeddings, v["hidden_size"]
        e.class_embedding = nn.Parameter(torch.zeros(width))
        e.patch_embedding = nn.Conv2d(3, width, v["patch_size"], v["patch_size"], bias=False)
        e.position_embedding = nn.Embedding((v["image_size"] // v["patch_size"]) ** 2 + 1, width)
        self.vision_model.pre_layrnorm = nn.LayerNorm(width, v["layer_norm_eps"])
        self.vision_model.post_layernorm = nn.LayerNorm(width, v["layer_norm_eps"])
        e = self.text_model.embeddings
        e.token_embedding = nn.Embedding(t["vocab_size"], t["hidden_size"])
        e.position_embedding = nn.Embedding(t["max_position_embeddings"], t["hidden_size"])
        self.text_model.final_layer_norm = nn.LayerNorm(t["hidden_size"], t["layer_norm_eps"])
        self.visual_projection = nn.Linear(width, c["projection_dim"], bias=False)
        self.text_projection = nn.Linear(t["hidden_size"], c["projection_dim"], bias=False)

    def images(self, rgb):
        """Unit embeddings of frames [N, H, W, 3] in levels of 255."""
        x = (rgb / 255 - torch.tensor(self.MEAN)) / torch.tensor(self.STD)
        m = self.vision_model
        x = m.embeddings.patch_embedding(x.permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        x = torch.cat([m.embeddings.class_embedding.expand(x.shape[0], 1, -1), x], 1) + m.embeddings.position_embedding.weight
        x = m.pre_layrnorm(x)
        for layer in m.encoder.layers:
            x = layer(x, False)
        return F.normalize(self.visual_projection(m.post_layernorm(x[:, 0])), dim=-1)

    def texts(self, ids):
        m = self.text_model
        x = m.embeddings.token_embedding(ids.long()) + m.embeddings.position_embedding.weight[: ids.shape[1]]
        for layer in m.encoder.layers:
            x = layer(x, True)
        end = (ids == self.eos).int().argmax(1)
        return F.normalize(self.text_projection(m.final_layer_norm(x)[torch.arange(len(ids)), end]), dim=-1)


# --- video -----------------------------------------------------------------------------------------------------


class Vae(nn.Module):
    def __init__(self, c):
        super().__init__()
        s = {
            "base": c["base_dim"], "latent": c["z_dim"], "multiples": c["dim_mult"],
            "residualBlocks": c["num_res_blocks"], "temporal": c["temperal_downsample"],
        }  # fmt: skip
        self.encoder, self.decoder = Encoder(s), Decoder(s)
        self.conv1 = CausalConv(2 * c["z_dim"], 2 * c["z_dim"], 1)
        self.conv2 = CausalConv(c["z_dim"], c["z_dim"], 1)
        self.mean, self.std = (torch.tensor(c[k]).view(1, -1, 1, 1, 1) for k in ("latents_mean", "latents_std"))

    def encode(self, video):
        return (self.conv1(self.encoder(video)).chunk(2, 1)[0] - self.mean) / self.std

    def frames(self, latents):
        """Frames [B, T, H, W, 3] in levels of 255."""
        video = self.decoder(self.conv2(latents * self.std + self.mean))
        return ((video + 1) * 127.5).clamp(0, 255).trunc().permute(0, 2, 3, 4, 1)


def velocity(dit, references, noisy, timestep, context):
    """All [B, …] but the timestep, which is a number."""
    c = dit.c
    x = dit.patch_embedding(torch.cat([references, noisy], 2))
    batch, _, frames, rows, columns = x.shape
    x = x.flatten(2).transpose(1, 2)
    half = c["freq_dim"] // 2
    angle = timestep * 10000 ** (-torch.arange(half, dtype=torch.float64) / half)
    e = dit.time_embedding(torch.cat([angle.cos(), angle.sin()])[None].float())
    modulation = dit.time_projection(e).unflatten(1, (6, -1))
    text = dit.text_embedding(context)
    if not hasattr(dit, "tables"):
        dit.tables = rope_tables(frames, rows, columns, c["dim"] // c["num_heads"])
    dropped = references.shape[2] * rows * columns
    for i, block in enumerate(dit.blocks):
        x = block(x, modulation, text, dit.tables, dropped if i == len(dit.blocks) - 1 else 0)
    shift, scale = (dit.head.modulation + e[:, None]).chunk(2, 1)
    y = dit.head.head(F.layer_norm(x, (c["dim"],), eps=c["eps"]) * (1 + scale) + shift)
    pf, pr, pc = c["patch_size"]
    y = y.view(batch, -1, rows, columns, pf, pr, pc, c["out_dim"]).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return y.reshape(batch, c["out_dim"], -1, rows * pr, columns * pc)


def guided(dit, references, noisy, timestep, context, negative, scale):
    """Both branches in one batch."""
    rows = noisy.shape[0]
    wide = lambda x: x.expand(rows, *x.shape[1:])  # noqa: E731
    references = wide(references)
    both = velocity(
        dit, torch.cat([references, references]), torch.cat([noisy, noisy]), timestep, torch.cat([wide(context), wide(negative)])
    )
    conditional, base = both.chunk(2)
    return base + scale * (conditional - base)


def levels(steps, shift):
    s = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * s / (1 + (shift - 1) * s)).tolist()


# --- rewards ---------------------------------------------------------------------------------------------------


def rouge_l(reference, text):
    a, b = (re.findall(r"[a-z0-9]+", t.lower()) for t in (reference, text))
    if not a or not b:
        return 0.0
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b):
            before, row[j + 1] = row[j + 1], before + 1 if x == y else max(row[j], row[j + 1])
    common = row[-1]
    precision, recall = common / len(b), common / len(a)
    return 2 * precision * recall / (precision + recall) if common else 0.0


FORMAT = re.compile(r"\s*\[Think\](.+?)\[/Think\]\s*\[Ans\](.+?)\[/Ans\]\s*", re.DOTALL)


def format_reward(text):
    return 1.0 if FORMAT.fullmatch(text) else 0.0


def advantages_of(rows, group):
    """Group-normalised sums, and which groups have spread."""
    totals = rows.sum(1).view(-1, group)
    std = totals.std(1, correction=0, keepdim=True)
    live = (std > 0)[:, 0]
    return torch.where(std > 0, (totals - totals.mean(1, keepdim=True)) / (std + 1e-4), 0.0), live


# --- updates ---------------------------------------------------------------------------------------------------


class Suite:
    def __init__(self, folder):
        s = read_json(f"{folder}/suite.json")

        def part(name, make):
            model = make(read_json(f"{folder}/{s[name]['config']}"))
            weights = s[name]["weights"]
            tensors = {}
            for path in [weights] if isinstance(weights, str) else weights:
                tensors |= read_safetensors(f"{folder}/{path}")
            model.load_state_dict(tensors, strict=True)
            return model.requires_grad_(False)

        self.qwen, self.umt5, self.clip = part("vlm", Qwen), part("textEncoder", Umt5), part("clip", Clip)
        self.vae, self.dit = part("vae", Vae), part("vdm", WanDit)
        self.adapted = {}

    def with_adapters(self, which, plan, tensors):
        """Adapters on one of the models, none on the other."""
        model = {"vlm": self.qwen, "vdm": self.dit}[which]
        if which not in self.adapted:
            names = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj" if which == "vlm" else r"(self|cross)_attn\.[qkvo]"
            pattern = re.compile(rf"(^|\.)({names})$")
            add_lora(model, lambda path: pattern.search(path), plan["rank"], plan["alpha"])
            self.adapted[which] = model
        return model, set_adapters(model, tensors)


def optimizer_of(parameters, plan):
    for p in parameters:
        p.grad = None
    return torch.optim.AdamW(parameters, lr=plan["learningRate"], betas=(0.9, plan["beta2"]), weight_decay=plan["weightDecay"], fused=True)  # fmt: skip


class Clock:
    def __init__(self):
        self.parts, self.last = {}, time.perf_counter()

    def lap(self, name):
        now = time.perf_counter()
        self.parts[name] = self.parts.get(name, 0) + (now - self.last) * 1e3
        self.last = now


def finish(trained, plan, averages):
    norm = nn.utils.clip_grad_norm_(trained, plan["clipNorm"])
    plan["optimizer"].step()
    with torch.no_grad():
        torch._foreach_lerp_(averages, trained, 0.1)
    return float(norm)


def stage_1(suite, t, plan):
    qwen, trained = suite.with_adapters("vlm", plan, t)
    plan["optimizer"], averages = optimizer_of(trained, plan), [p.detach().clone() for p in trained]
    grid, samples = plan["grid"], plan["group"]
    batch = {"ids": t["ids"], "mask": t["mask"], "positions": t["positions"], "places": t["tokens"].shape[1], "lengths": t["lengths"]}
    clock = Clock()
    log_probs = respond(qwen, t["patches"], grid, batch, samples, torch.tensor(plan["banned"]), t["tokens"])
    clock.lap("write")
    with torch.no_grad():
        negative = suite.umt5(t["negativeIds"], t["negativeMask"])
        sigmas = levels(plan["drawSteps"], plan["shift"])
        rows = torch.zeros(len(plan["texts"]), 3)
        for p, drawn in enumerate(plan["drawn"]):
            own = [i for i, text in enumerate(drawn["texts"])]
            if own:
                references = suite.vae.encode(t["inputs"][p : p + 1])
                context = suite.umt5(t[f"captionIds.{p}"], t[f"captionMask.{p}"])
                x = t["noise"][p : p + 1].expand(len(own), *t["noise"].shape[1:])
                for sigma, after in zip(sigmas, sigmas[1:]):
                    v = guided(suite.dit, references, x, 1000 * torch.tensor(sigma).item(), context, negative, plan["guidanceScale"])
                    x = x + (after - sigma) * v
                frames = suite.vae.frames(x)
            clock.lap("draw")
            truth = suite.clip.images(t["truths"][p, :: plan["everyFrames"]].float())
            if own:
                shown = frames[:, :: plan["everyFrames"]]
                seen = suite.clip.images(shown.flatten(0, 1)).view(len(own), -1, truth.shape[-1])
                cosines = (seen * truth).sum(-1).mean(-1)
            for i in range(p * samples, (p + 1) * samples):
                caption = plan["captions"][i]
                rows[i, 0] = format_reward(plan["texts"][i])
                rows[i, 1] = 0 if caption is None else rouge_l(drawn["reference"], caption)
                rows[i, 2] = 0 if caption is None else cosines[drawn["texts"].index(caption)]
            clock.lap("reward")
    given = t["rewards"]
    advantages, live = advantages_of(given, samples)
    loss_total = kl_total = 0.0
    live_rows = int(live.sum()) * samples
    for p in range(len(live)):
        if not live[p]:
            continue
        own = slice(p * samples, (p + 1) * samples)
        part = {"ids": batch["ids"][own], "mask": batch["mask"][own], "positions": batch["positions"][:, own], "places": batch["places"]}
        patches = t["patches"][p : p + 1]
        mask = (torch.arange(batch["places"])[None] < t["lengths"][own, None]).float()
        Lora.enabled = False
        with torch.no_grad():
            reference = completion_log_probs(qwen, patches, grid, part, samples)
        Lora.enabled = True
        log_p = completion_log_probs(qwen, patches, grid, part, samples)
        ratio = (log_p - log_p.detach()).exp()
        a = advantages[p][:, None]
        low, high = 1 - plan["epsilon"], 1 + plan["epsilon"]
        delta = (reference - log_p).clamp(-20, 20)
        kl = delta.exp() - delta - 1
        losses = -torch.minimum(ratio * a, ratio.clamp(low, high) * a) + plan["beta"] * kl
        loss = ((losses * mask).sum(1) / mask.sum(1)).sum() / live_rows
        loss.backward()
        loss_total += loss.item()
        kl_total += (kl * mask).sum().item()
    norm = finish(trained, plan, averages) if live.any() else 0.0
    clock.lap("learn")
    counted = torch.arange(batch["places"])[None] < t["lengths"][:, None]
    tokens = sum(int(t["lengths"][p * samples : (p + 1) * samples].sum()) for p in range(len(live)) if live[p])
    checks = {
        "logProbs": float(((log_probs - t["logProbs"]) * counted).abs().max()),
        "rewards": float((rows - given).abs().max()),
        "loss": loss_total,
        "kl": kl_total / max(1, tokens),
        "gradientNorm": norm,
    }
    return clock.parts, checks


def stage_2(suite, t, plan):
    dit, trained = suite.with_adapters("vdm", plan, t)
    plan["optimizer"], averages = optimizer_of(trained, plan), [p.detach().clone() for p in trained]
    clock = Clock()
    worst = 0.0
    for n, call in enumerate(plan["responds"]):
        own = {k: t[f"{k}.{n}"] for k in ("ids", "mask", "positions", "lengths", "tokens", "patches", "logProbs")}
        batch = {**own, "places": own["tokens"].shape[1]}
        log_probs = respond(suite.qwen, own["patches"], plan["grid"], batch, call["samples"], torch.tensor(plan["banned"]), own["tokens"])
        counted = torch.arange(batch["places"])[None] < own["lengths"][:, None]
        worst = max(worst, float(((log_probs - own["logProbs"]) * counted).abs().max()))
    clock.lap("write")
    sigmas, rows, group = levels(plan["rolloutSteps"], plan["shift"]), plan["rows"], plan["group"]
    window = range(plan["first"], plan["first"] + plan["size"])
    chunks, rewards, drift = [], [], 0.0
    with torch.no_grad():
        negative = suite.umt5(t["negativeIds"], t["negativeMask"])
        for g in range(plan["groups"]):
            references = suite.vae.encode(t["inputs"][g : g + 1])
            context = suite.umt5(t["captionIds"][g : g + 1], t["captionMask"][g : g + 1])
            clock.lap("draw")
            truth = suite.clip.images(t["truths"][g, :: plan["everyFrames"]].float())
            text = suite.clip.texts(t["clipIds"][g : g + 1])
            clock.lap("reward")
            for c in range(g * group // rows, (g + 1) * group // rows):
                x, kept = t["starts"][c], []
                for i, (sigma, after) in enumerate(zip(sigmas, sigmas[1:])):
                    v = guided(dit, references, x, 1000 * torch.tensor(sigma).item(), context, negative, plan["guidanceScale"])
                    dt = after - sigma
                    if i in window:
                        s = sigmas[1] * sigma
                        a, b = 1 + s * s / (2 * sigma) * dt, (1 + s * s * (1 - sigma) / (2 * sigma)) * dt
                        std = s * math.sqrt(-dt)
                        after_x = a * x + b * v + std * t[f"noise.{i}"][c]
                        kept.append((1000 * torch.tensor(sigma).item(), x, after_x, a, b, std))
                    else:
                        after_x = x + dt * v
                    x = after_x
                    if i + 1 < len(sigmas) - 1:
                        drift = max(drift, float((x - t[f"latents.{i + 1}"][c]).abs().max()))
                chunks.append((references, context, kept))
                frames = suite.vae.frames(x)
                clock.lap("draw")
                seen = suite.clip.images(frames[:, :: plan["everyFrames"]].flatten(0, 1)).view(rows, -1, truth.shape[-1])
                rewards.append(torch.stack([(seen * truth).sum(-1).mean(-1), (seen * text).sum(-1).clamp(min=0).mean(-1)], 1))
                clock.lap("reward")
    given = t["rewards"]
    advantages, live = advantages_of(given, group)
    advantages = advantages.flatten().clamp(-5, 5)
    live_chunks = [c for c in range(len(chunks)) if live[c * rows // group]]
    parts = len(live_chunks) * plan["size"]
    loss_total = kl_total = 0.0
    for c in live_chunks:
        references, context, kept = chunks[c]
        adv = advantages[c * rows : (c + 1) * rows]
        for timestep, x, after, a, b, std in kept:
            Lora.enabled = False
            with torch.no_grad():
                ref = guided(dit, references, x, timestep, context, negative, plan["guidanceScale"])
            Lora.enabled = True
            v = guided(dit, references, x, timestep, context, negative, plan["guidanceScale"])
            log_p = -(after - (a * x + b * v)).square().mean((1, 2, 3, 4)) / (2 * std * std)
            ratio = (log_p - log_p.detach()).exp()
            kl = (b * (v - ref)).square().mean((1, 2, 3, 4)) / (2 * std * std)
            policy = torch.maximum(-adv * ratio, -adv * ratio.clamp(1 - plan["clip"], 1 + plan["clip"]))
            loss = (policy.mean() + plan["beta"] * kl.mean()) / parts
            loss.backward()
            loss_total += loss.item()
            kl_total += kl.mean().item() / parts
    norm = finish(trained, plan, averages) if parts else 0.0
    clock.lap("learn")
    checks = {
        "logProbs": worst,
        "latents": drift,
        "rewards": float((torch.cat(rewards) - given).abs().max()),
        "loss": loss_total,
        "kl": kl_total,
        "gradientNorm": norm,
    }
    return clock.parts, checks


def main():
    torch.set_num_threads(int(os.environ.get("VANS_PEER_THREADS", "2")))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    answer(torch=torch.__version__, threads=torch.get_num_threads())
    suites = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "load":
                # Each stage has a suite of its own: the other stage's models carry no adapters.
                suites = {name: Suite(request["suite"]) for name in ("stage-1", "stage-2")}
                answer()
                continue
            name, tensors = request["do"], read_safetensors(request["tensors"])
            start, cpu_start = time.perf_counter(), time.process_time()
            parts, checks = (stage_1 if name == "stage-1" else stage_2)(suites[name], tensors, request["plan"])
            ms, cpu_ms = (time.perf_counter() - start) * 1e3, (time.process_time() - cpu_start) * 1e3
            answer(ms=ms, cpuMs=cpu_ms, parts=parts, checks=checks)
        except Exception as error:  # reported to the caller, who decides
            import traceback

            traceback.print_exc()
            answer(error=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


if __name__ == "__main__":
    main()
