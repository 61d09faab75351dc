"""The kernel that proves native code: its source, its expected output, and how to read the header of its binary. Pure.

Every element of the output depends on its index, on the nonce of the run and on the compiled `__CUDA_ARCH__`, so that
neither the output of another run nor code for another target is accepted. The host computes the same function and is
the second witness.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array

N = 1048576 + 3  # odd, so that the last block is not full
GUARD = 1024  # words after the output that must stay unchanged
SENTINEL = 0xA5C3F00D
NAME = b"probe"
SOURCE = rb"""
extern "C" __global__ void probe(unsigned *out, unsigned n, unsigned nonce) {
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = i * 2654435761u ^ (nonce + __CUDA_ARCH__);
  v ^= v >> 15;
  v = v * 2246822519u + i;
  out[i] = v;
}
"""
MASK = 0xFFFFFFFF
EM_CUDA = 190


def element(i: int, nonce32: int, cuda_arch: int) -> int:
    v = (i * 2654435761 ^ (nonce32 + cuda_arch)) & MASK
    v ^= v >> 15
    return (v * 2246822519 + i) & MASK


def expected(n: int, nonce32: int, cuda_arch: int) -> bytes:
    """The whole output as the device writes it, in little-endian words."""
    key = (nonce32 + cuda_arch) & MASK
    # The formula of `element`, inlined: a million calls of that function would take a second.
    words = array(
        "I",
        [
            ((v ^ (v >> 15)) * 2246822519 + i) & 0xFFFFFFFF
            for i, v in enumerate([(i * 2654435761 & 0xFFFFFFFF) ^ key for i in range(n)])
        ],
    )
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def digest(output: bytes) -> str:
    return hashlib.sha256(output).hexdigest()


def first_difference(got: bytes, want: bytes) -> int | None:
    """The index of the first wrong word."""
    if got == want:
        return None
    pairs = zip(struct.iter_unpack("<I", got), struct.iter_unpack("<I", want))
    return next((i for i, (g, w) in enumerate(pairs) if g != w), min(len(got), len(want)) // 4)


def elf_arch(binary: bytes) -> int:
    """The target in the header of a CUDA ELF file, such as 120 for sm_120."""
    if binary[:4] != b"\x7fELF" or len(binary) < 64:
        raise ValueError("not an ELF file: no native code was produced")
    machine = struct.unpack_from("<H", binary, 18)[0]
    if machine != EM_CUDA:
        raise ValueError(f"an ELF file for machine {machine}, not for CUDA ({EM_CUDA})")
    flags = struct.unpack_from("<I", binary, 48)[0]
    # For newer targets, toolkits from 12.8 on write ABI version 8, which has the number one byte higher.
    return (flags >> 8) & 0xFF if binary[8] >= 8 else flags & 0xFF
