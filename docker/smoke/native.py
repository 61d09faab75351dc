"""Native code, proved without torch: compiled for the target, loaded by the driver, run, and every element checked.

A cubin is never compiled again by the driver, so what ran is what the ELF header names. The device that cannot run it
refuses to load it.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from smoke import cuda, kernel, nvrtc, targets
from smoke.child import Failed, Run
from smoke.nvml import Nvml

NODES = ("/dev/nvidiactl", "/dev/dxg")


def check_present(run: Run):
    driver = cuda.Driver()
    version = targets.cuda_version(driver.version())
    run.channel.send(driver={"cuda": version})
    driver.init()
    with Nvml() as nvml:
        name = nvml.driver_version()
    run.channel.send(driver={"version": name, "cuda": version}, devices=driver.devices())
    nodes = [node for node in NODES if os.path.exists(node)]
    if not nodes:
        raise Failed(f"the driver's library is here, and no device node is: none of {', '.join(NODES)}")
    run.shared["driver"] = driver
    return f"driver {name} for CUDA {version}", {"version": name, "cuda": version, "nodes": nodes}


def check_served(run: Run):
    """By capability alone: what torch was built for is another group's to say."""
    arch = run.request.arch
    devices = run.shared["driver"].devices()
    values = {"devices": [{key: device[key] for key in ("uuid", "name", "capability")} for device in devices]}
    wrong = [device for device in devices if not targets.serves(arch, device["capability"])]
    if wrong or not devices:
        names = "; ".join(f"{device['name']} has capability {device['capability']}" for device in wrong)
        raise Failed(f"{names or 'no device'}, which code for {arch} does not serve", values)
    return ", ".join(f"{device['name']} ({device['capability']})" for device in devices), values


def verdict(answer: tuple[int, bytes, bytes], arch: str, want: bytes) -> str | None:
    """What is wrong with one device's answer, if anything."""
    version, output, behind = answer
    if version != targets.number(arch):
        return f"BINARY_VERSION is {version}, not {targets.number(arch)}"
    wrong = kernel.first_difference(output, want)
    if wrong is not None:
        return f"element {wrong} of {len(want) // 4} is wrong"
    if behind != kernel.SENTINEL.to_bytes(4, "little") * (len(behind) // 4):
        return "the kernel wrote behind its output"
    return None


def compiled(arch: str) -> bytes:
    """The cubin. What its own header says is looked at before it is loaded anywhere."""
    cubin = nvrtc.compiled(kernel.SOURCE, targets.sm(arch))
    found = kernel.elf_arch(cubin)
    if found != targets.number(arch):
        raise Failed(f"the ELF header of the compiled code names {found}, not {targets.number(arch)}")
    return cubin


def check_code(run: Run):
    arch, nonce32 = run.request.arch, run.request.nonce32
    driver = run.shared["driver"]
    devices = driver.devices()
    if not devices:
        raise Failed("the driver shows no device")

    def answer(device: dict, cubin: bytes):
        index = device["index"]
        return driver.launch(index, cubin, kernel.NAME, kernel.N, nonce32, kernel.GUARD, kernel.SENTINEL)

    # The devices, and the reference, at the same time: ctypes gives the interpreter free.
    with ThreadPoolExecutor(len(devices) + 1) as pool:
        reference = pool.submit(kernel.expected, kernel.N, nonce32, targets.cuda_arch(arch))
        cubin = compiled(arch)
        answers = [(device, pool.submit(answer, device, cubin)) for device in devices]
        want = reference.result()
        seen, faults = [], []
        for device, future in answers:
            try:
                found = future.result()
            except cuda.CudaError as err:
                faults.append(f"{device['uuid']} ({device['name']}): {err}")
                continue
            seen.append(
                {
                    "uuid": device["uuid"],
                    "elf_arch": kernel.elf_arch(cubin),
                    "binary_version": found[0],
                    "cuda_arch": targets.cuda_arch(arch),
                    "digest": kernel.digest(found[1]),
                }
            )
            if fault := verdict(found, arch, want):
                faults.append(f"{device['uuid']} ({device['name']}): {fault}")
    values = {"kernel": {"n": kernel.N}, "devices": seen}
    if faults:
        raise Failed("; ".join(faults), values)
    return f"{targets.sm(arch)} code on {len(seen)} device(s), {kernel.N} elements each", values


CHECKS = {"driver.present": check_present, "devices.served": check_served, "native.code": check_code}
