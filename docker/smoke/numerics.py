"""Matrix products, convolutions and attention, compared with fp64 on the CPU, in shapes that depend on the run's seed.

A tolerance is relative and holds for the whole result (root mean square); a single element may be off by a multiple of
it. Each tolerance lies between the error of the requested precision and the error of the next coarser one. Simulated
with the random sizes used here: TF32 has 3e-4 where inputs are rounded and 7.8e-4 where they are truncated (real
hardware does both), bf16 has 2.3e-3, and fp32 has 4e-7, or up to 2.5e-5 in a convolution by Winograd's transforms
(tiles of 9x9).
"""

from __future__ import annotations

from smoke.child import Run
from smoke.tensors import cuda_devices, exact, generator, near, normal, numbers, on, summary, synchronized

MATMUL = {"fp32": 5e-6, "tf32": 2.2e-3, "fp16": 1e-3, "bf16": 8e-3}
CONVOLUTION = 1e-4
# Errors of single elements vary more where a transform or a softmax lies between input and output.
CONVOLUTION_WORST, ATTENTION_WORST = 32, 16
ATTENTION = {"fp16": (3e-3, 1e-2), "bf16": (2e-2, 6e-2)}  # forward, backward


def dtype_of(torch, kind: str):
    return {"fp16": torch.float16, "bf16": torch.bfloat16}.get(kind, torch.float32)


def uneven(draw, low: int, high: int, *others: int) -> int:
    """A random odd size that differs from the others."""
    return next(size for size in iter(lambda: draw.randrange(low | 1, high, 2), None) if size not in others)


def matmul_shapes(draw) -> list[tuple[int, int, int]]:
    """One shape that fills the tiles of tensor cores, and one of odd sizes that does not."""
    tiles = draw.sample(range(8, 32), 3)
    m = uneven(draw, 129, 511)
    k = uneven(draw, 129, 511, m)
    return [tuple(16 * tile for tile in tiles), (m, k, uneven(draw, 129, 511, m, k))]


def matmul(torch, device, kind: str, shape, source, multiply=None) -> dict:
    dtype = dtype_of(torch, kind)
    m, k, n = shape
    a, b = normal(torch, (m, k), source, dtype), normal(torch, (k, n), source, dtype)
    exact(torch)
    torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    left, right = on(a.to(device, dtype), device), on(b.to(device, dtype), device)
    got = on((multiply or torch.matmul)(left, right), device)
    synchronized(torch, device)
    exact(torch)
    return near(torch, f"{kind} {m}x{k}x{n} on {device}", got, a @ b, MATMUL[kind])


def matmul_check(kind: str):
    def check(run: Run):
        import torch

        draw, source = numbers(run, "matmul." + kind), generator(torch, run, "matmul." + kind)
        shapes = matmul_shapes(draw)
        measured = [matmul(torch, device, kind, shape, source) for device in cuda_devices(torch) for shape in shapes]
        return summary(measured, run.request.seed)

    return check


def convolve(torch, device, draw, source, backward: bool, convolution=None) -> list[dict]:
    """One convolution with odd sizes and random stride and padding. The gradients are taken in a random direction."""
    channels, filters = uneven(draw, 5, 33), uneven(draw, 7, 49)
    height, width, kernel = uneven(draw, 33, 65), uneven(draw, 67, 99), draw.choice((3, 5))
    x = normal(torch, (3, channels, height, width), source, torch.float32)
    w = normal(torch, (filters, channels, kernel, kernel), source, torch.float32)
    bias = normal(torch, (filters,), source, torch.float32)
    exact(torch)
    inputs = [on(value.to(device, torch.float32), device).requires_grad_(backward) for value in (x, w, bias)]
    wanted = [value.requires_grad_(backward) for value in (x, w, bias)]
    options = {"stride": draw.choice((1, 2)), "padding": draw.choice((0, 1, 2))}
    reference = torch.nn.functional.conv2d
    got, want = on((convolution or reference)(*inputs, **options), device), reference(*wanted, **options)
    what = f"conv2d {channels}->{filters}, {height}x{width}, {kernel}x{kernel} on {device}"
    if not backward:
        synchronized(torch, device)
        return [near(torch, what, got, want.detach(), CONVOLUTION, CONVOLUTION_WORST)]
    direction = normal(torch, want.shape, source, torch.float32)
    got.backward(direction.to(device, torch.float32))
    want.backward(direction)
    synchronized(torch, device)
    names = ("of the input", "of the weights", "of the bias")
    return [
        near(torch, f"{what}, gradient {name}", on(mine.grad, device), its.grad, CONVOLUTION, CONVOLUTION_WORST)
        for name, mine, its in zip(names, inputs, wanted)
    ]


def convolution_check(name: str, backward: bool):
    def check(run: Run):
        import torch

        if not torch.backends.cudnn.is_available() or not torch.backends.cudnn.enabled:
            raise RuntimeError("cuDNN is not available to torch")
        draw, source = numbers(run, name), generator(torch, run, name)
        measured = [
            found for device in cuda_devices(torch) for found in convolve(torch, device, draw, source, backward)
        ]
        return summary(measured, run.request.seed)

    return check


def attended(q, k, v):
    """Attention, computed by its definition."""
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


def attend(torch, device, kind: str, shape, source, attention=None) -> list[dict]:
    dtype = dtype_of(torch, kind)
    batch, heads, queries, keys, width = shape
    sizes = [(batch, heads, length, width) for length in (queries, keys, keys)]
    wanted = [normal(torch, size, source, dtype).requires_grad_() for size in sizes]
    inputs = [on(value.detach().to(device, dtype), device).requires_grad_() for value in wanted]
    exact(torch)
    got = on((attention or torch.nn.functional.scaled_dot_product_attention)(*inputs), device)
    want = attended(*wanted)
    direction = normal(torch, want.shape, source, dtype)
    got.backward(direction.to(device, dtype))
    want.backward(direction)
    synchronized(torch, device)
    forward, backward = ATTENTION[kind]
    what = f"attention {kind} {'x'.join(map(str, shape))} on {device}"
    return [near(torch, what, got, want.detach(), forward, ATTENTION_WORST)] + [
        near(torch, f"{what}, gradient of {name}", on(mine.grad, device), its.grad, backward, ATTENTION_WORST)
        for name, mine, its in zip("qkv", inputs, wanted)
    ]


def attention_shape(draw) -> tuple[int, int, int, int, int]:
    queries = uneven(draw, 65, 199)
    return 2, 3, queries, uneven(draw, 65, 199, queries), 64


def check_attention(run: Run):
    import torch

    draw, source = numbers(run, "attention"), generator(torch, run, "attention")
    measured = []
    for device in cuda_devices(torch):
        for kind in ATTENTION:
            measured += attend(torch, device, kind, attention_shape(draw), source)
    return summary(measured, run.request.seed)


def check_flash(run: Run):
    """Allows only the flash attention kernels, without a fallback."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    draw, source = numbers(run, "flash"), generator(torch, run, "flash")
    measured = []
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        for device in cuda_devices(torch):
            measured += attend(torch, device, "bf16", attention_shape(draw), source)
    return summary(measured, run.request.seed)


CHECKS = {
    **{"matmul." + kind: matmul_check(kind) for kind in MATMUL},
    "conv2d.forward": convolution_check("conv2d.forward", backward=False),
    "conv2d.backward": convolution_check("conv2d.backward", backward=True),
    "attention.default": check_attention,
    "attention.flash": check_flash,
}
