"""einops, and a timm model with random weights, which runs on the CPU and on each device and is compared with fp64."""

from __future__ import annotations

import copy

from smoke.child import Failed, Run
from smoke.tensors import cuda_devices, exact, generator, near, normal, numbers, on, summary, synchronized

MODEL = "vit_tiny_patch16_224"
CLASSES = 7
SIDE, DEPTH = 96, 4  # smaller than the usual 224 and 12, because the CPU computes the same in fp64
# For fp32 through all blocks. Attention in fp32 may use a less precise kernel.
TOLERANCE = 5e-3


def check_einops(run: Run):
    """Rearranges frames into patches, compares with the same by reshape and permute, and rearranges them back."""
    import einops
    import torch

    run.channel.send(versions={"einops": getattr(einops, "__version__", None)})
    draw = numbers(run, "einops")
    batch, frames, height, width, patch = (draw.randrange(low, low + 4) for low in (1, 2, 3, 4, 2))
    shape = (batch, frames, 3, height * patch, width * patch)
    video = torch.randn(shape, generator=generator(torch, run, "einops"))
    got = einops.rearrange(video, "b t c (h p) (w q) -> (b t) (h w) (p q c)", p=patch, q=patch)
    by_hand = video.reshape(batch * frames, 3, height, patch, width, patch).permute(0, 2, 4, 3, 5, 1)
    if not torch.equal(got, by_hand.reshape(batch * frames, height * width, patch * patch * 3)):
        raise Failed("einops.rearrange puts elements elsewhere than reshape and permute do")
    back = einops.rearrange(got, "(b t) (h w) (p q c) -> b t c (h p) (w q)", b=batch, h=height, p=patch, q=patch)
    if not torch.equal(back, video):
        raise Failed("einops.rearrange does not find back to what it was given")
    return f"einops {einops.__version__}: {'x'.join(map(str, shape))} to patches and back", {"shape": list(shape)}


def model_pair(run: Run):
    """One model in fp32 and fp64 with the same random weights. The head is random too, as timm may set it to zero."""
    import timm
    import torch

    run.channel.send(versions={"timm": timm.__version__})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.request.seed)
        model = timm.create_model(MODEL, pretrained=False, num_classes=CLASSES, img_size=SIDE, depth=DEPTH).eval()
        torch.nn.init.normal_(model.get_classifier().weight, std=0.1)
    return torch, timm, model, copy.deepcopy(model).double()


def forward(torch, device, model, reference, images) -> dict:
    model = model.to(device)
    exact(torch)
    with torch.inference_mode():
        got = on(model(on(images.to(device, torch.float32), device)), device)
        want = reference(images)
    synchronized(torch, device)
    return near(torch, f"{MODEL} on {device}", got, want, TOLERANCE)


def timm_check(name: str, devices_of):
    def check(run: Run):
        torch, timm, model, reference = model_pair(run)
        images = normal(torch, (2, 3, SIDE, SIDE), generator(torch, run, name), torch.float32)
        measured = [forward(torch, device, model, reference, images) for device in devices_of(torch)]
        text, values = summary(measured, run.request.seed)
        return f"timm {timm.__version__}, {MODEL}: {text}", values

    return check


CHECKS = {
    "einops.rearrange": check_einops,
    "timm.cpu": timm_check("timm.cpu", lambda torch: [torch.device("cpu")]),
    "timm.gpu": timm_check("timm.gpu", cuda_devices),
}
