"""PyTorch side of `npm run bench -- engine`: the same steps from the same first values, one JSON line per request.

Requests on stdin: {"do": "load", "row", "mode", "settings", "clipNorm", "learningRate", "tensors"},
{"do": "step", "row", "mode"}, {"do": "matmul", "size"}, {"do": "drop", "row", "mode"}. Answers on stdout.
"""

import json
import math
import os
import struct
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def read_safetensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        assert entry["dtype"] == "F32", name
        tensors[name] = torch.frombuffer(body[start:end], dtype=torch.float32).reshape(entry["shape"]).clone()
    return tensors


# --- transformer -----------------------------------------------------------------------------------------------


class TransformerLayer(nn.Module):
    def __init__(self, width, heads, epsilon):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, eps=epsilon)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        b, s, c = x.shape
        q, k, v = (t.view(b, s, self.heads, -1).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, s, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(s["width"], s["heads"], s["epsilon"]) for _ in range(s["layers"]))
        self.norm = nn.LayerNorm(s["width"], eps=s["epsilon"])

    def forward(self, feeds):
        x = feeds["x"]
        for layer in self.layers:
            x = layer(x)
        return F.mse_loss(self.norm(x), feeds["target"])


# --- Wan DiT ---------------------------------------------------------------------------------------------------


class RmsNorm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


def rotate(x, cos, sin):
    """Turns neighbouring pairs; x [B, heads, S, D], tables [S, D / 2]."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def rope_tables(frames, rows, columns, head_dim):
    side = head_dim // 6
    pairs = [head_dim // 2 - 2 * side, side, side]
    grid = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (frames, rows, columns)), indexing="ij")
    angles = []
    for positions, count in zip(grid, pairs):
        frequencies = 10000 ** (-torch.arange(count, dtype=torch.float64) / count)
        angles.append(positions.reshape(-1, 1) * frequencies)
    angle = torch.cat(angles, dim=1)
    return angle.cos().float(), angle.sin().float()


class DitAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim = c["dim"]
        self.heads = c["num_heads"]
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RmsNorm(dim, c["eps"]), RmsNorm(dim, c["eps"])

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, context, tables=None, skip=0):
        q, k = self.split(self.norm_q(self.q(x))), self.split(self.norm_k(self.k(context)))
        if tables is not None:
            cos, sin = tables
            q, k = rotate(q, cos[skip:], sin[skip:]), rotate(k, cos, sin)
        mixed = F.scaled_dot_product_attention(q, k, self.split(self.v(context)))
        return self.o(mixed.transpose(1, 2).flatten(-2))


class DitBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim = c["dim"]
        self.eps = c["eps"]
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))
        self.self_attn, self.cross_attn = DitAttention(c), DitAttention(c)
        self.norm3 = nn.LayerNorm(dim, eps=c["eps"])
        self.ffn = nn.Sequential(nn.Linear(dim, c["ffn_dim"]), nn.GELU("tanh"), nn.Linear(c["ffn_dim"], dim))

    def plain(self, x):
        return F.layer_norm(x, (x.shape[-1],), eps=self.eps)

    def forward(self, x, modulation, context, tables, keep_from):
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + modulation).chunk(6, dim=1)
        h = self.plain(x) * (1 + scale1) + shift1
        x = x[:, keep_from:] + gate1 * self.self_attn(h[:, keep_from:], h, tables, keep_from)
        x = x + self.cross_attn(self.norm3(x), context)
        return x + gate2 * self.ffn(self.plain(x) * (1 + scale2) + shift2)


class Head(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.modulation = nn.Parameter(torch.zeros(1, 2, c["dim"]))
        self.head = nn.Linear(c["dim"], math.prod(c["patch_size"]) * c["out_dim"])


class WanDit(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim = c["dim"]
        self.c = c
        self.patch_embedding = nn.Conv3d(c["in_dim"], dim, tuple(c["patch_size"]), tuple(c["patch_size"]))
        self.text_embedding = nn.Sequential(nn.Linear(c["text_dim"], dim), nn.GELU("tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(nn.Linear(c["freq_dim"], dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(DitBlock(c) for _ in range(c["num_layers"]))
        self.head = Head(c)

    def forward(self, feeds):
        c = self.c
        latents = torch.cat([feeds["references"], feeds["noisy"]], dim=2)
        x = self.patch_embedding(latents)
        batch, _, frames, rows, columns = x.shape
        x = x.flatten(2).transpose(1, 2)
        half = c["freq_dim"] // 2
        frequencies = 10000 ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = feeds["timestep"].double()[:, None] * frequencies
        e = self.time_embedding(torch.cat([angle.cos(), angle.sin()], dim=1).float())
        modulation = self.time_projection(e).unflatten(1, (6, -1))
        context = self.text_embedding(feeds["context"])
        tables = self.tables if hasattr(self, "tables") else None
        if tables is None:
            tables = self.tables = rope_tables(frames, rows, columns, c["dim"] // c["num_heads"])
        dropped = c["references"] * rows * columns
        for i, block in enumerate(self.blocks):
            x = block(x, modulation, context, tables, dropped if i == len(self.blocks) - 1 else 0)
        shift, scale = (self.head.modulation + e[:, None]).chunk(2, dim=1)
        y = self.head.head(F.layer_norm(x, (c["dim"],), eps=c["eps"]) * (1 + scale) + shift)
        pf, pr, pc = c["patch_size"]
        y = y.view(batch, -1, rows, columns, pf, pr, pc, c["out_dim"]).permute(0, 7, 1, 4, 2, 5, 3, 6)
        y = y.reshape(batch, c["out_dim"], -1, rows * pr, columns * pc)
        weights = feeds["weights"]
        return ((y - feeds["velocity"]).square() * weights).sum() / weights.sum()


# --- Wan VAE ---------------------------------------------------------------------------------------------------


class CausalConv(nn.Conv3d):
    def forward(self, x):
        kt, kh, kw = self.kernel_size
        return super().forward(F.pad(x, (kw // 2, kw // 2, kh // 2, kh // 2, kt - 1, 0)))


class Gain(nn.Module):
    def __init__(self, channels, images=False):
        super().__init__()
        self.scale = channels**0.5
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1) if images else torch.ones(channels, 1, 1, 1))

    def forward(self, x):
        return F.normalize(x, dim=1) * self.scale * self.gamma


class Residual(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.residual = nn.Sequential(
            Gain(channels), nn.SiLU(), CausalConv(channels, out, 3),
            Gain(out), nn.SiLU(), nn.Identity(), CausalConv(out, out, 3),
        )  # fmt: skip
        self.shortcut = CausalConv(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x):
        return self.shortcut(x) + self.residual(x)


def to_frames(x):
    return x.transpose(1, 2).flatten(0, 1)


def from_frames(x, batch):
    return x.unflatten(0, (batch, -1)).transpose(1, 2)


class FrameAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = Gain(channels, images=True)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        frames = to_frames(x)
        q, k, v = (t.flatten(2).transpose(1, 2)[:, None].contiguous() for t in self.to_qkv(self.norm(frames)).chunk(3, 1))
        mixed = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(frames.shape)
        return from_frames(self.proj(mixed), x.shape[0]) + x


class Down(nn.Module):
    def __init__(self, channels, in_time):
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, 2))
        self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1), (2, 1, 1)) if in_time else None

    def forward(self, x):
        x = from_frames(self.resample(to_frames(x)), x.shape[0])
        return x if self.time_conv is None else torch.cat([x[:, :, :1], self.time_conv(x)], dim=2)


class Up(nn.Module):
    def __init__(self, channels, in_time):
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="nearest-exact"), nn.Conv2d(channels, channels // 2, 3, padding=1)
        )
        self.time_conv = CausalConv(channels, 2 * channels, (3, 1, 1)) if in_time else None

    def forward(self, x):
        b, c, t, h, w = x.shape
        if self.time_conv is not None:
            y = self.time_conv(x[:, :, 1:]).view(b, 2, c, t - 1, h, w)
            x = torch.cat([x[:, :, :1], torch.stack((y[:, 0], y[:, 1]), dim=3).view(b, c, 2 * t - 2, h, w)], dim=2)
        return from_frames(self.resample(to_frames(x)), b)


class Encoder(nn.Module):
    def __init__(self, s):
        super().__init__()
        dims = [s["base"] * m for m in [1, *s["multiples"]]]
        self.conv1 = CausalConv(3, dims[0], 3)
        blocks = []
        for i, (channels, out) in enumerate(zip(dims, dims[1:])):
            for j in range(s["residualBlocks"]):
                blocks.append(Residual(channels if j == 0 else out, out))
            if i < len(dims) - 2:
                blocks.append(Down(out, s["temporal"][i]))
        self.downsamples = nn.Sequential(*blocks)
        self.middle = nn.Sequential(Residual(out, out), FrameAttention(out), Residual(out, out))
        self.head = nn.Sequential(Gain(out), nn.SiLU(), CausalConv(out, 2 * s["latent"], 3))

    def forward(self, x):
        return self.head(self.middle(self.downsamples(self.conv1(x))))


class Decoder(nn.Module):
    def __init__(self, s):
        super().__init__()
        multiples = s["multiples"][::-1]
        dims = [s["base"] * m for m in [multiples[0], *multiples]]
        self.conv1 = CausalConv(s["latent"], dims[0], 3)
        self.middle = nn.Sequential(Residual(dims[0], dims[0]), FrameAttention(dims[0]), Residual(dims[0], dims[0]))
        blocks = []
        for i, (channels, out) in enumerate(zip(dims, dims[1:])):
            for j in range(s["residualBlocks"] + 1):
                first = channels if i == 0 else channels // 2
                blocks.append(Residual(first if j == 0 else out, out))
            if i < len(dims) - 2:
                blocks.append(Up(out, s["temporal"][::-1][i]))
        self.upsamples = nn.Sequential(*blocks)
        self.head = nn.Sequential(Gain(out), nn.SiLU(), CausalConv(out, 3, 3))

    def forward(self, z):
        return self.head(self.upsamples(self.middle(self.conv1(z))))


class WanVae(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.kl_weight = s["klWeight"]
        self.encoder, self.decoder = Encoder(s), Decoder(s)
        self.conv1 = CausalConv(2 * s["latent"], 2 * s["latent"], 1)
        self.conv2 = CausalConv(s["latent"], s["latent"], 1)

    def forward(self, feeds):
        video = feeds["video"]
        mean, log_variance = self.conv1(self.encoder(video)).chunk(2, dim=1)
        log_variance = log_variance.clamp(-30, 20)
        z = mean + (0.5 * log_variance).exp() * feeds["noise"]
        error = self.decoder(self.conv2(z)) - video
        spread = mean.square() + log_variance.exp() - (log_variance + 1)
        return error.abs().mean() + 4 * error.square().mean() + self.kl_weight / 2 * spread.mean()


# --- steps -----------------------------------------------------------------------------------------------------

MODELS = {"transformer": Transformer, "dit": WanDit, "vae": WanVae}


class Step:
    def __init__(self, request):
        tensors = read_safetensors(request["tensors"])
        self.model = MODELS[request["row"]](request["settings"])
        params = {k.removeprefix("param:"): v for k, v in tensors.items() if k.startswith("param:")}
        self.model.load_state_dict(params, strict=True)
        self.feeds = {k.removeprefix("feed:"): v for k, v in tensors.items() if k.startswith("feed:")}
        self.clip = request.get("clipNorm")
        # The fused kernel: the quickest AdamW that PyTorch has on the CPU.
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=request["learningRate"], fused=True)
        self.loss = torch.compile(self.model) if request["mode"] == "compile" else self.model

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.feeds)
        loss.backward()
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return loss.item()


def matmul_peak(size):
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def main():
    torch.set_num_threads(int(os.environ.get("VANS_PEER_THREADS", "2")))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    steps = {}

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    answer(torch=torch.__version__, threads=torch.get_num_threads())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            key = (request.get("row"), request.get("mode"))
            if request["do"] == "load":
                steps[key] = Step(request)
                answer(parameters=sum(p.numel() for p in steps[key].model.parameters()))
            elif request["do"] == "step":
                start, cpu_start = time.perf_counter(), time.process_time()
                loss = steps[key]()
                ms, cpu_ms = (time.perf_counter() - start) * 1e3, (time.process_time() - cpu_start) * 1e3
                answer(ms=ms, cpuMs=cpu_ms, loss=loss)
            elif request["do"] == "drop":
                steps.pop(key, None)
                answer()
            else:
                answer(gflops=matmul_peak(request["size"]))
        except Exception as error:  # reported to the caller, who decides
            answer(error=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


if __name__ == "__main__":
    main()
