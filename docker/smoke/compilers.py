"""Compilers that a project may use here: torch.compile (Triton), and nvcc for a CUDA extension. Only in a full run."""

from __future__ import annotations

from smoke import targets
from smoke.child import Failed, Run
from smoke.tensors import cuda_devices, generator, near, normal, numbers, on, summary, synchronized

EXTENSION = r"""
#include <torch/extension.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAGuard.h>
__global__ void marked(const float *in, float *out, long n, float by) {
  long i = blockIdx.x * (long)blockDim.x + threadIdx.x;
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ != WANTED_ARCH
#ifdef __CUDA_ARCH__
#error "compiled for another target"
#endif
#endif
  if (i < n) out[i] = in[i] * by + (float)(i % 97);
}
torch::Tensor marked_cuda(torch::Tensor in, double by) {
  const c10::cuda::CUDAGuard guard(in.device());
  auto out = torch::empty_like(in);
  marked<<<(in.numel() + 255) / 256, 256, 0, at::cuda::getCurrentCUDAStream()>>>(
      in.data_ptr<float>(), out.data_ptr<float>(), in.numel(), (float)by);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}
"""


def check_compile(run: Run):
    import torch

    torch.cuda.init()

    def function(x, y):
        return (x.sin() * y.cos() + x.abs().sqrt()).sum(-1)

    source = generator(torch, run, "compile")
    measured = []
    for device in cuda_devices(torch):
        values = [normal(torch, (257, 131), source, torch.float32) for _ in range(2)]
        inputs = [on(value.to(device, torch.float32), device) for value in values]
        compiled = torch.compile(function, fullgraph=True)
        got = on(compiled(*inputs), device)
        synchronized(torch, device)
        measured.append(near(torch, f"torch.compile on {device}", got, function(*values), 1e-5))
    return summary(measured, run.request.seed)


def gencode(arch: str) -> str:
    """Names the target explicitly: torch's own table may not know it yet. With such a flag torch adds none itself."""
    name = targets.sm(arch)
    return f"-gencode=arch={name.replace('sm_', 'compute_')},code={name}"


def check_extension(run: Run):
    import torch
    from torch.utils.cpp_extension import load_inline

    torch.cuda.init()
    by = numbers(run, "extension").randrange(3, 1000)
    build = run.tmp / "extension"
    build.mkdir()
    arch = run.request.arch
    module = load_inline(
        name=f"gpu_smoke_{run.request.nonce}",
        cpp_sources="torch::Tensor marked_cuda(torch::Tensor in, double by);",
        cuda_sources=EXTENSION.replace("WANTED_ARCH", str(targets.cuda_arch(arch))),
        functions=["marked_cuda"],
        extra_cuda_cflags=[gencode(arch)],
        build_directory=str(build),
        verbose=False,
    )
    count = 100003
    for device in cuda_devices(torch):
        there = torch.arange(count, device=device, dtype=torch.float32).remainder_(1000)
        got = on(module.marked_cuda(on(there, device), by), device)
        synchronized(torch, device)
        here = torch.arange(count) % 1000 * by + torch.arange(count) % 97
        if not torch.equal(got.cpu().long(), here):
            raise Failed(f"the extension computes wrongly on {device}")
    return f"built by nvcc with {gencode(arch)}, {count} elements right", {"gencode": gencode(arch), "by": by}


CHECKS = {"compile.torch": check_compile, "extension.nvcc": check_extension}
