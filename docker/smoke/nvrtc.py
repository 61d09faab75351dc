"""NVRTC by ctypes: compiles CUDA C to native code or to PTX. It needs no GPU."""

from __future__ import annotations

import ctypes
import glob
import os
import sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p

NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")


def candidates() -> list[str]:
    """Names for the loader's own search first, then the paths that wheels and toolkits use."""
    found = list(NAMES)
    for directory in sys.path:
        found += glob.glob(os.path.join(directory, "nvidia", "*", "lib", "libnvrtc.so.*"))
    return found + glob.glob("/usr/local/cuda/lib64/libnvrtc.so.*")


def library() -> ctypes.CDLL:
    errors = []
    for name in candidates():
        try:
            lib = ctypes.CDLL(name)
        except OSError as err:
            errors.append(str(err))
            continue
        lib.nvrtcGetErrorString.restype = c_char_p
        return lib
    raise OSError(f"NVRTC cannot be loaded: {errors[0]}")


def checked(lib: ctypes.CDLL, status: int, what: str) -> None:
    if status:
        raise RuntimeError(f"{what}: {lib.nvrtcGetErrorString(status).decode()}")


def version(lib: ctypes.CDLL) -> str:
    major, minor = c_int(), c_int()
    checked(lib, lib.nvrtcVersion(byref(major), byref(minor)), "nvrtcVersion")
    return f"{major.value}.{minor.value}"


def part(lib: ctypes.CDLL, program: c_void_p, size_of, get, what: str) -> bytes:
    size = c_size_t()
    checked(lib, size_of(program, byref(size)), what + "Size")
    buffer = ctypes.create_string_buffer(size.value)
    if size.value:
        checked(lib, get(program, buffer), what)
    return buffer.raw


def compiled(source: bytes, target: str) -> bytes:
    """A target such as `sm_120` gives a cubin, which is native code; `compute_120` gives PTX."""
    lib = library()
    program = c_void_p()
    checked(lib, lib.nvrtcCreateProgram(byref(program), source, b"probe.cu", 0, None, None), "nvrtcCreateProgram")
    try:
        options = (c_char_p * 1)(f"--gpu-architecture={target}".encode())
        status = lib.nvrtcCompileProgram(program, 1, options)
        if status:
            log = part(lib, program, lib.nvrtcGetProgramLogSize, lib.nvrtcGetProgramLog, "nvrtcGetProgramLog")
            text = log.rstrip(b"\0").decode("utf-8", "replace").strip()
            raise RuntimeError(f"NVRTC {version(lib)} cannot compile for {target}: {text or status}")
        if target.startswith("sm_"):
            return part(lib, program, lib.nvrtcGetCUBINSize, lib.nvrtcGetCUBIN, "nvrtcGetCUBIN")
        return part(lib, program, lib.nvrtcGetPTXSize, lib.nvrtcGetPTX, "nvrtcGetPTX")
    finally:
        lib.nvrtcDestroyProgram(byref(program))
