"""The devices that the driver, NVML and torch see. All three must agree, and torch must be built for each device."""

from __future__ import annotations

import os

from smoke import cuda, targets
from smoke.child import Failed, Run
from smoke.nvml import Nvml
from smoke.tensors import cuda_devices, device_count
from smoke.torch_server import arch_list


def count_fault(nvml: int, torch: int, wanted: int | None, hidden: str | None = None) -> str | None:
    """`hidden` is the value of CUDA_VISIBLE_DEVICES, which NVML ignores."""
    if torch == 0:
        return f"torch sees no device (NVML sees {nvml})"
    if nvml != torch:
        why = "" if hidden is None else f", which CUDA_VISIBLE_DEVICES=`{hidden}` tells to look at no others"
        return f"NVML sees {nvml} device(s) and torch sees {torch}{why}"
    if wanted is not None and torch != wanted:
        return f"{torch} device(s) are visible, and {wanted} were asked for"
    return None


def check_driver(_: Run):
    """Asks only the driver's library, which answers even where no device can be used."""
    import torch

    if not torch.version.cuda:
        raise Failed(f"torch {torch.__version__} was built without CUDA")
    driver = targets.cuda_version(cuda.Driver().version())
    values = {"driver": driver, "image": torch.version.cuda}
    if not targets.driver_serves(driver, torch.version.cuda):
        raise Failed(
            "CUDA driver version is insufficient for CUDA runtime version: "
            f"the driver is for CUDA {driver}, and torch was built with {torch.version.cuda}",
            values,
        )
    return f"the driver is for CUDA {driver}, torch was built with {torch.version.cuda}", values


def check_count(run: Run):
    import torch

    torch.cuda.init()  # raises an error with the cause, where `device_count` would only return 0
    with Nvml() as nvml:
        seen = nvml.count()
    values = {"nvml": seen, "torch": device_count(torch), "expected": run.request.gpus}
    if fault := count_fault(seen, values["torch"], run.request.gpus, os.environ.get("CUDA_VISIBLE_DEVICES")):
        raise Failed(fault, values)
    return f"{seen} device(s), by NVML and by torch", values


def served_fault(arch: str, arches: list[str], capability: str) -> str | None:
    if not targets.serves(arch, capability):
        return f"has capability {capability}, which code for {arch} does not serve"
    if not targets.torch_serves(arches, capability):
        return f"has capability {capability}, and torch was built for {' '.join(arches) or 'no device'}"
    return None


def check_served(run: Run):
    import torch

    arches = arch_list(torch)
    devices, faults = [], []
    for device in cuda_devices(torch):
        name = torch.cuda.get_device_name(device)
        capability = "{}.{}".format(*torch.cuda.get_device_capability(device))
        devices.append({"index": device.index, "name": name, "capability": capability})
        if fault := served_fault(run.request.arch, arches, capability):
            faults.append(f"{name} {fault}")
    values = {"devices": devices, "arch_list": arches}
    if faults:
        raise Failed("; ".join(faults), values)
    return ", ".join(f"{one['name']} ({one['capability']})" for one in devices), values


def has_nccl(torch) -> bool:
    return torch.distributed.is_available() and torch.distributed.is_nccl_available()


def check_cudnn(run: Run):
    import torch

    cuda_devices(torch)  # without a device the versions can be read, but not that the libraries work
    if not torch.backends.cudnn.is_available():
        raise Failed("torch has no cuDNN")
    built = ".".join(map(str, torch._C._cudnn.getCompileVersion()))
    loaded = ".".join(map(str, torch._C._cudnn.getRuntimeVersion()))
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if has_nccl(torch) else None
    run.channel.send(versions={"cudnn": loaded, "nccl": nccl})
    values = {"built": built, "loaded": loaded}
    if built != loaded:
        raise Failed(f"torch was built with cuDNN {built}, and {loaded} is loaded", values)
    return f"cuDNN {loaded}, as built", values


CHECKS = {
    "driver.version": check_driver,
    "devices.count": check_count,
    "devices.served": check_served,
    "versions.cudnn": check_cudnn,
}
