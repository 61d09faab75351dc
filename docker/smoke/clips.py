"""Video frames that encode their own number. They are drawn and read back in plain Python, so that the check does not
depend on another library.

The top third of a frame shows eight blocks, the bits of its index. The middle third shows eight bits that depend on
the index and on the seed of this run. The bottom third shows four patches of colour, rotated by the index.
"""

from __future__ import annotations

import hashlib

WIDTH, HEIGHT, FRAMES, RATE = 320, 240, 48, 12
BLOCK = WIDTH // 8
ROWS = (0, 80, 160, 240)  # borders between index, bits of the run and colours
COLOURS = ((200, 40, 40), (40, 180, 40), (40, 40, 200), (200, 200, 40))
PATCH = WIDTH // len(COLOURS)
OFF = 60  # the largest error of a colour after lossy coding and chroma subsampling


def bits_of_run(seed: int, index: int) -> int:
    return hashlib.sha256(f"{seed} {index}".encode()).digest()[0]


def blocks(value: int) -> bytes:
    """One row of pixels that shows the eight bits of a number, the highest first."""
    return b"".join((b"\xf0" if value >> bit & 1 else b"\x10") * 3 * BLOCK for bit in range(7, -1, -1))


def colours(index: int) -> bytes:
    turned = [COLOURS[(at + index) % len(COLOURS)] for at in range(len(COLOURS))]
    return b"".join(bytes(colour) * PATCH for colour in turned)


def frame(seed: int, index: int) -> bytes:
    """One frame, as rgb24."""
    rows = (blocks(index), blocks(bits_of_run(seed, index)), colours(index))
    return b"".join(row * (end - start) for row, start, end in zip(rows, ROWS, ROWS[1:]))


def mean(pixels: bytes, x: int, y: int) -> tuple[float, ...]:
    """The mean colour around a point."""
    spots = [3 * ((y + dy) * WIDTH + x + dx) for dy in (-8, 0, 8) for dx in (-8, 0, 8)]
    return tuple(sum(pixels[spot + channel] for spot in spots) / len(spots) for channel in range(3))


def middle(part: int) -> int:
    return (ROWS[part] + ROWS[part + 1]) // 2


def read_bits(pixels: bytes, part: int) -> int:
    value = 0
    for at in range(8):
        value = value << 1 | (sum(mean(pixels, at * BLOCK + BLOCK // 2, middle(part))) / 3 > 128)
    return value


def fault(pixels: bytes, seed: int, index: int) -> str | None:
    """What is wrong with a decoded frame that should have the number `index`, or None."""
    if len(pixels) != WIDTH * HEIGHT * 3:
        return f"has {len(pixels)} bytes, not {WIDTH * HEIGHT * 3}"
    if (found := read_bits(pixels, 0)) != index:
        return f"shows the index {found}"
    if read_bits(pixels, 1) != bits_of_run(seed, index):
        return "is of another run"
    for at in range(len(COLOURS)):
        want = COLOURS[(at + index) % len(COLOURS)]
        got = mean(pixels, at * PATCH + PATCH // 2, middle(2))
        off = max(abs(g - w) for g, w in zip(got, want))
        if off > OFF:
            return f"has a colour that is off by {off:.0f} of 255"
    return None


def damaged(data: bytes, seed: int) -> bytes:
    """The same clip with changed bytes throughout its second half. Its header stays readable."""
    out = bytearray(data)
    step = max(8, len(out) // 400)
    for at in range(len(out) // 2, len(out), step):
        out[at] ^= 1 + (seed + at) % 255
    return bytes(out)
