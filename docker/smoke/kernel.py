"""The probe kernel: its source, what it must answer, and what the header of its binary says. Pure.

Every element depends on its index, on the nonce of the run and on `__CUDA_ARCH__` as compiled, so that neither an
answer of another run nor code for another target passes. The host knows the same function and is the second witness.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array

N = 1048576 + 3  # odd: the last block is not full
GUARD = 1024  # words behind the output that must stay as they were
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
    """All elements, as the device writes them: little-endian words."""
    key = (nonce32 + cuda_arch) & MASK
    # `element` with its parts in place: a million calls would take a second.
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
    """The target that a CUDA ELF file names in its own header: 120 for sm_120."""
    if binary[:4] != b"\x7fELF" or len(binary) < 64:
        raise ValueError("not an ELF file: no native code was produced")
    machine = struct.unpack_from("<H", binary, 18)[0]
    if machine != EM_CUDA:
        raise ValueError(f"an ELF file for machine {machine}, not for CUDA ({EM_CUDA})")
    flags = struct.unpack_from("<I", binary, 48)[0]
    # Toolkits since 12.8 write version 8 for newer targets, with the number one byte further up.
    return (flags >> 8) & 0xFF if binary[8] >= 8 else flags & 0xFF
