"""The CUDA driver API by ctypes, so that as little code as possible lies between the check and the device."""

from __future__ import annotations

import ctypes
import uuid
from ctypes import byref, c_char, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p

BINARY_VERSION = 6
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
BLOCK = 256


class CudaError(RuntimeError):
    """A call that failed, with the driver's own name and text for it."""

    def __init__(self, what: str, status: int, name: str, text: str):
        super().__init__(f"{what}: {name} ({status}): {text}")
        self.status, self.name = status, name


def named(name: bytes, identity: bytes) -> str:
    """The UUID as NVIDIA's tools write it. Only the name tells whether the device is a MIG instance."""
    return f"{'MIG' if b' MIG ' in name else 'GPU'}-{uuid.UUID(bytes=identity)}"


class Driver:
    """`libcuda.so.1`. Raises OSError where there is none."""

    def __init__(self):
        self.lib = ctypes.CDLL("libcuda.so.1")

    def call(self, name: str, *args) -> None:
        status = getattr(self.lib, name)(*args)
        if status:
            raise CudaError(name, status, self.text("cuGetErrorName", status), self.text("cuGetErrorString", status))

    def text(self, function: str, status: int) -> str:
        found = c_char_p()
        getattr(self.lib, function)(status, byref(found))
        return (found.value or b"unknown error").decode("utf-8", "replace")

    def number(self, name: str, *args) -> int:
        value = c_int()
        self.call(name, byref(value), *args)
        return value.value

    def version(self) -> int:
        """For example 12080 for CUDA 12.8. This call works before `init`, as the only one."""
        return self.number("cuDriverGetVersion")

    def init(self) -> None:
        self.call("cuInit", 0)

    def count(self) -> int:
        return self.number("cuDeviceGetCount")

    def device(self, index: int) -> dict:
        handle = self.number("cuDeviceGet", index)
        name, identity, memory = ctypes.create_string_buffer(256), (c_char * 16)(), c_size_t()
        self.call("cuDeviceGetName", name, 256, handle)
        self.call("cuDeviceGetUuid_v2", identity, handle)
        self.call("cuDeviceTotalMem_v2", byref(memory), handle)
        major = self.number("cuDeviceGetAttribute", CAPABILITY_MAJOR, handle)
        minor = self.number("cuDeviceGetAttribute", CAPABILITY_MINOR, handle)
        return {
            "index": index,
            "name": name.value.decode("utf-8", "replace"),
            "uuid": named(name.value, identity.raw),
            "capability": f"{major}.{minor}",
            "memory_bytes": memory.value,
        }

    def devices(self) -> list[dict]:
        return [self.device(index) for index in range(self.count())]

    def load(self, image: bytes) -> c_void_p:
        """Loads a module into the current context."""
        module = c_void_p()
        # `create_string_buffer` appends a NUL, which PTX needs and an ELF file ignores.
        self.call("cuModuleLoadData", byref(module), ctypes.create_string_buffer(image))
        return module

    def launch(self, index: int, cubin: bytes, name: bytes, n: int, nonce32: int, guard: int, fill: int):
        """Runs the kernel `name(out, n, nonce)` on a device. Returns its BINARY_VERSION, its output and the guard words
        after the output."""
        handle = self.number("cuDeviceGet", index)
        context = c_void_p()
        self.call("cuDevicePrimaryCtxRetain", byref(context), handle)
        try:
            self.call("cuCtxSetCurrent", context)
            module, function, memory = self.load(cubin), c_void_p(), c_uint64()
            self.call("cuModuleGetFunction", byref(function), module, name)
            version = self.number("cuFuncGetAttribute", BINARY_VERSION, function)
            size = 4 * (n + guard)
            self.call("cuMemAlloc_v2", byref(memory), c_size_t(size))
            try:
                self.call("cuMemsetD32_v2", memory, c_uint(fill), c_size_t(n + guard))
                values = (memory, c_uint(n), c_uint(nonce32))
                pointers = (c_void_p * 3)(*(ctypes.cast(byref(value), c_void_p) for value in values))
                grid = (n + BLOCK - 1) // BLOCK
                self.call("cuLaunchKernel", function, grid, 1, 1, BLOCK, 1, 1, 0, None, pointers, None)
                self.call("cuCtxSynchronize")
                output = ctypes.create_string_buffer(size)
                self.call("cuMemcpyDtoH_v2", output, memory, c_size_t(size))
            finally:
                # Neither this call nor the release is checked: both fail after a kernel fault and would hide the cause.
                self.lib.cuMemFree_v2(memory)
            return version, output.raw[: 4 * n], output.raw[4 * n :]
        finally:
            self.lib.cuDevicePrimaryCtxRelease_v2(handle)
