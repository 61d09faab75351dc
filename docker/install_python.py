"""Installs the packages of requirements.lock without touching what the base brought.

Usage: python3 install_python.py requirements.lock

The lock has two sections. `[always]` is installed as pinned. `[if-missing]` holds what timm
needs at run time; of these, only distributions that the base lacks are installed.
pip resolves nothing here (`--no-deps`), so no package can pull in another torch.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SECTIONS = ("always", "if-missing")


@dataclass(frozen=True)
class Pin:
    """One requirement of the lock: its name, its section, and its text with all hashes."""

    name: str
    section: str
    text: str


def normalize(name: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_lock(text: str) -> list[Pin]:
    """Reads the lock. A pin outside a section, or without a hash, is an error."""
    pins: list[Pin] = []
    section = None
    logical = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if heading := re.fullmatch(r"# \[(.+)\]", stripped):
            section = heading[1]
            if section not in SECTIONS:
                raise ValueError(f"line {number}: unknown section `{section}`")
            continue
        if not stripped or stripped.startswith("#"):
            continue
        logical += line + "\n"
        if stripped.endswith("\\"):
            continue
        pin = re.match(r"([A-Za-z0-9._-]+)==\S+", logical)
        if not pin:
            raise ValueError(f"line {number}: not of the form `name==version`: `{stripped}`")
        if section is None:
            raise ValueError(f"line {number}: `{pin[1]}` stands before any section")
        if "--hash=sha256:" not in logical:
            raise ValueError(f"line {number}: `{pin[1]}` has no hash")
        pins.append(Pin(normalize(pin[1]), section, logical))
        logical = ""
    return pins


def choose(pins: list[Pin], installed: set[str]) -> list[Pin]:
    """What to install on a base that has the `installed` distributions."""
    return [pin for pin in pins if pin.section == "always" or pin.name not in installed]


def without(constraints: str, names: set[str]) -> tuple[str, list[str]]:
    """Drops the constraints on `names`; returns the rest and what was dropped.

    NVIDIA's images pin hundreds of packages by PIP_CONSTRAINT. Our own few are pinned by the
    lock. Every other line stays, above all the one for torch.
    """
    kept, dropped = [], []
    for line in constraints.splitlines():
        name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line)
        if name and normalize(name[1]) in names:
            dropped.append(line.strip())
        else:
            kept.append(line)
    return "\n".join(kept) + "\n", dropped


def fail(message: str, hint: str) -> None:
    sys.exit(f"error: {message}\nhint: {hint}")


def main() -> None:
    lock = Path(sys.argv[1])
    try:
        pins = parse_lock(lock.read_text())
    except ValueError as err:
        fail(f"cannot read `{lock.name}`: {err}", "make it anew with docker/lock.sh")
    installed = {
        normalize(name)
        for dist in importlib.metadata.distributions()
        if (name := dist.metadata["Name"])
    }
    chosen = choose(pins, installed)
    names = {pin.name for pin in chosen}
    left = sorted(pin.name for pin in pins if pin not in chosen)
    print(f"python: the base has {', '.join(left) or 'none of the optional packages'}")
    print(f"python: asking pip for {', '.join(sorted(names))}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text("".join(pin.text for pin in chosen))
        env = dict(os.environ)
        copies = []
        for index, name in enumerate(env.get("PIP_CONSTRAINT", "").split()):
            if "://" in name:
                copies.append(name)
                continue
            try:
                kept, dropped = without(Path(name).read_text(), names)
            except OSError as err:
                fail(
                    f"cannot read `{name}`, which PIP_CONSTRAINT of the base names: {err.strerror}",
                    "choose another base image; this one is damaged",
                )
            for line in dropped:
                print(f"python: the lock replaces the base's constraint `{line}`", flush=True)
            copy = Path(scratch, f"constraint-{index}.txt")
            copy.write_text(kept)
            copies.append(str(copy))
        if copies:
            env["PIP_CONSTRAINT"] = " ".join(copies)
        # Debian and Ubuntu mark their Python as managed by apt. An image has no other user.
        env["PIP_BREAK_SYSTEM_PACKAGES"] = "1"
        status = subprocess.call(
            [
                sys.executable, "-m", "pip", "install",
                "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "--no-cache-dir", "--disable-pip-version-check", "--root-user-action=ignore",
                "--requirement", str(requirements),
            ],
            env=env,
        )  # fmt: skip
    if status != 0:
        fail(
            f"pip could not install the packages of `{lock.name}` (status {status}), see above",
            "on a certificate error, give the host's bundle as the build secret `ca`; "
            "where no wheel fits, the base's Python or machine is one the lock does not cover",
        )


if __name__ == "__main__":
    main()
