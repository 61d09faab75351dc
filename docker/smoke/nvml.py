"""NVML by ctypes: the version of the driver and the health of its devices."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_uint, c_ulonglong, c_void_p

NOT_SUPPORTED = 3
CORRECTED, UNCORRECTED = 0, 1
VOLATILE = 0


class NvmlError(RuntimeError):
    def __init__(self, what: str, status: int, text: str):
        super().__init__(f"{what}: {text} ({status})")
        self.status = status


class Nvml:
    """Used as `with Nvml() as nvml:`. Raises OSError where the library is missing."""

    def __init__(self):
        self.lib = ctypes.CDLL("libnvidia-ml.so.1")
        self.lib.nvmlErrorString.restype = c_char_p

    def __enter__(self):
        status = self.lib.nvmlInit_v2()
        if status:
            # The same text as in `nvidia-smi`, because people search for it.
            raise NvmlError("Failed to initialize NVML", status, self.text(status))
        return self

    def __exit__(self, *_):
        self.lib.nvmlShutdown()

    def text(self, status: int) -> str:
        return (self.lib.nvmlErrorString(status) or b"unknown error").decode("utf-8", "replace")

    def call(self, name: str, *args) -> None:
        status = getattr(self.lib, name)(*args)
        if status:
            raise NvmlError(name, status, self.text(status))

    def number(self, name: str, *args, kind=c_uint) -> int | None:
        """A number, or None where the device does not support the query."""
        value = kind()
        try:
            self.call(name, *args, byref(value))
        except NvmlError as err:
            if err.status == NOT_SUPPORTED:
                return None
            raise
        return value.value

    def string(self, name: str, *args) -> str:
        buffer = ctypes.create_string_buffer(96)
        self.call(name, *args, buffer, c_uint(96))
        return buffer.value.decode("utf-8", "replace")

    def driver_version(self) -> str:
        return self.string("nvmlSystemGetDriverVersion")

    def count(self) -> int:
        return self.number("nvmlDeviceGetCount_v2")

    def handles(self) -> list[c_void_p]:
        found = []
        for index in range(self.count()):
            handle = c_void_p()
            self.call("nvmlDeviceGetHandleByIndex_v2", c_uint(index), byref(handle))
            found.append(handle)
        return found

    def uuid(self, handle: c_void_p) -> str:
        return self.string("nvmlDeviceGetUUID", handle)

    def ecc_errors(self, handle: c_void_p, kind: int) -> int | None:
        name = "nvmlDeviceGetTotalEccErrors"
        return self.number(name, handle, c_uint(kind), c_uint(VOLATILE), kind=c_ulonglong)

    def remapped_rows(self, handle: c_void_p) -> dict | None:
        values = [c_uint() for _ in range(4)]
        try:
            self.call("nvmlDeviceGetRemappedRows", handle, *map(byref, values))
        except NvmlError as err:
            if err.status == NOT_SUPPORTED:
                return None
            raise
        return dict(zip(("corrected", "uncorrected", "pending", "failed"), (value.value for value in values)))

    def throttle_reasons(self, handle: c_void_p) -> int | None:
        return self.number("nvmlDeviceGetCurrentClocksThrottleReasons", handle, kind=c_ulonglong)

    def pcie(self, handle: c_void_p) -> dict:
        return {
            "generation": self.number("nvmlDeviceGetCurrPcieLinkGeneration", handle),
            "width": self.number("nvmlDeviceGetCurrPcieLinkWidth", handle),
            "max_generation": self.number("nvmlDeviceGetMaxPcieLinkGeneration", handle),
            "max_width": self.number("nvmlDeviceGetMaxPcieLinkWidth", handle),
        }
