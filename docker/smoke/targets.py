"""The rules for which compiled code runs on which device, as pure functions."""

from __future__ import annotations

import re


def parse_arch(arch: str) -> tuple[int, int, str]:
    """`12.0` is (12, 0, ""), `9.0a` is (9, 0, "a")."""
    found = re.fullmatch(r"(\d+)\.(\d)([af]?)", arch)
    if not found:
        raise ValueError(f"`{arch}` is not like `12.0`")
    return int(found[1]), int(found[2]), found[3]


def sm(arch: str) -> str:
    """The name that compilers use, such as `sm_120`."""
    major, minor, suffix = parse_arch(arch)
    return f"sm_{major}{minor}{suffix}"


def number(arch: str) -> int:
    """The number in an ELF header and in BINARY_VERSION, such as 120."""
    major, minor, _ = parse_arch(arch)
    return major * 10 + minor


def cuda_arch(arch: str) -> int:
    """The value of `__CUDA_ARCH__`, such as 1200."""
    return number(arch) * 10


def serves(arch: str, capability: str) -> bool:
    """Native code runs on the same major and an equal or later minor version; `a` code only on that very version."""
    major, minor, suffix = parse_arch(arch)
    device = parse_arch(capability)
    if suffix == "a":
        return device[:2] == (major, minor)
    return device[0] == major and device[1] >= minor


def arch_of_sm(name: str) -> str | None:
    """`12.0` for `sm_120`. None for PTX (`compute_120`), which is not native code."""
    found = re.fullmatch(r"sm_(\d+)(\d)([af]?)", name)
    return f"{found[1]}.{found[2]}{found[3]}" if found else None


def torch_serves(arch_list: list[str], capability: str) -> bool:
    """Whether one of torch's native targets runs on the device."""
    arches = [arch_of_sm(name) for name in arch_list]
    return any(serves(arch, capability) for arch in arches if arch)


def driver_serves(driver: str, image: str) -> bool:
    """CUDA is compatible within one major version: that of the driver must not be older than that of the image."""
    return int(driver.split(".")[0]) >= int(image.split(".")[0])


def cuda_version(number: int) -> str:
    """cuDriverGetVersion returns 12080 for `12.8`."""
    return f"{number // 1000}.{number % 1000 // 10}"
