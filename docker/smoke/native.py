"""Proof of native code without torch: a kernel is compiled for the target, loaded by the driver and run, and every
element of its output is checked.

The driver never compiles a cubin again, so the code that ran is the code that the ELF header names. A device that
cannot run it refuses to load it.
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
    """Judges by compute capability alone. Another group checks what torch was built for."""
    arch = run.request.arch
    devices = run.shared["driver"].devices()
    values = {"devices": [{key: device[key] for key in ("uuid", "name", "capability")} for device in devices]}
    wrong = [device for device in devices if not targets.serves(arch, device["capability"])]
    if wrong or not devices:
        names = "; ".join(f"{device['name']} has capability {device['capability']}" for device in wrong)
        raise Failed(f"{names or 'no device'}, which code for {arch} does not serve", values)
    return ", ".join(f"{device['name']} ({device['capability']})" for device in devices), values


def verdict(answer: tuple[int, bytes, bytes], arch: str, want: bytes) -> str | None:
    """What is wrong with the output of one device, or None."""
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
    """The cubin. Its header is checked before any device loads it."""
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

    # All devices and the reference compute at the same time: ctypes releases the interpreter lock.
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
