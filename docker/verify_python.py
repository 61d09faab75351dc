"""Proves that the image's Python works, and that the base was not damaged.

Usage: python3 verify_python.py record FILE   before anything is installed
       python3 verify_python.py check FILE    after; fails the build on any fault

The functions named `judge_*` are pure: values in, faults out. All others only read.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Knows sm_120 with CUDA 12.8, and is what the rest of the project is written for.
MINIMUM_TORCH = (2, 5)
MODULES = ("torch", "torchvision", "decord", "einops", "timm")
# decord's wheel is named for any Python 3, but its own metadata says CPython 3.6. pip installs by
# the name, and `pip check` reads the metadata. The import below is what counts.
KNOWN_CONFLICTS = ("decord 0.6.0 is not supported on this platform",)


@dataclass(frozen=True)
class Fault:
    """What failed, with which value, and why; then one way out."""

    what: str
    hint: str


def torch_release(version: str) -> tuple[int, int] | None:
    """Major and minor of a torch version, `2.6.0a0+ecf3bae40a.nv25.01` included."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def judge_base(torch: str | None) -> list[Fault]:
    """Is this a base to build on at all?"""
    minimum = ".".join(map(str, MINIMUM_TORCH))
    hint = f"give a base image with PyTorch {minimum} or later (--base REF)"
    if torch is None:
        return [Fault("the base image has no PyTorch that can be imported", hint)]
    release = torch_release(torch)
    if release is None:
        return [Fault(f"cannot read the version `{torch}` of the base's PyTorch", hint)]
    if release < MINIMUM_TORCH:
        return [Fault(f"PyTorch `{torch}` is older than {minimum}", hint)]
    return []


def judge_torch(before: dict, after: dict) -> list[Fault]:
    """The base's torch must be the one that is imported now."""
    faults = []
    for key, name in (("torch", "version"), ("cuda", "CUDA version"), ("torch_file", "location")):
        if before.get(key) != after.get(key):
            faults.append(
                Fault(
                    f"the {name} of torch changed from `{before.get(key)}` to `{after.get(key)}`: "
                    "the build replaced the base's own PyTorch",
                    "install packages with `--no-deps`, so that pip cannot bring another torch",
                )
            )
    return faults


def judge_imports(errors: dict[str, str]) -> list[Fault]:
    """`errors` has the reason for each module that could not be imported."""
    of_base = "it is the base's own: look at what the build added beside it, or choose another base"
    of_lock = "pin a version that fits the base's Python and torch in docker/requirements.in"
    return [
        Fault(
            f"cannot import `{module}`: {reason}",
            of_base if module in ("torch", "torchvision") else of_lock,
        )
        for module, reason in errors.items()
    ]


def judge_decord(owners: list[str]) -> list[Fault]:
    """Exactly one distribution may own the module `decord`."""
    if len(owners) < 2:
        return []
    names = " and ".join(f"`{name}`" for name in owners)
    return [
        Fault(
            f"the module `decord` is owned by {names}: they overwrite each other's files",
            "keep one: `decord` on x86_64, `decord2` on aarch64; does the base bring the other?",
        )
    ]


def judge_ffmpeg(path: str | None) -> list[Fault]:
    if path:
        return []
    return [Fault("`ffmpeg` is not on PATH", "see the step that installs commands, above")]


def judge_conflicts(before: list[str], after: list[str]) -> list[Fault]:
    """Conflicts that the base had are the base's; a new one is ours."""
    return [
        Fault(
            f"a conflict that the base did not have: {line}",
            "change the pin in docker/requirements.in so that it fits the base, then run docker/lock.sh",
        )
        for line in after
        if line not in before and line not in KNOWN_CONFLICTS
    ]


def parse_pip_check(status: int, stdout: str, stderr: str) -> list[str]:
    """The conflicts that `pip check` lists. It exits 0 without any and 1 with some."""
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    if status == 0:
        return []
    if status == 1 and lines:
        return lines
    raise RuntimeError(f"`pip check` failed with status {status}: {stderr.strip() or stdout.strip()}")


def judge(before: dict, after: dict) -> list[Fault]:
    """All faults at once, so that one build shows them all."""
    # Where torch cannot be imported, its import error says more than "changed to None".
    torch = judge_torch(before, after) if "torch" not in after["import_errors"] else []
    return [
        *judge_base(before.get("torch")),
        *torch,
        *judge_imports(after["import_errors"]),
        *judge_decord(after["decord_owners"]),
        *judge_ffmpeg(after["ffmpeg"]),
        *judge_conflicts(before["conflicts"], after["conflicts"]),
    ]


# In a process of its own: an import can also crash. It says each name before it tries it.
IMPORTER = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps(["trying", name]), flush=True)
    try:
        module = importlib.import_module(name)
    except BaseException as err:
        print(json.dumps(["failed", name, f"{type(err).__name__}: {err}"]), flush=True)
        continue
    facts = {"version": getattr(module, "__version__", None)}
    if name == "torch":
        facts |= {"version": str(module.__version__), "cuda": module.version.cuda, "file": module.__file__}
    print(json.dumps(["imported", name, facts]), flush=True)
"""


def parse_imports(stdout: str, status: int) -> tuple[dict[str, dict], dict[str, str]]:
    """From what IMPORTER printed: facts by module, and the reason for each failure."""
    facts: dict[str, dict] = {}
    errors: dict[str, str] = {}
    trying = None
    for line in stdout.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a module that prints while it is imported
        match event:
            case ["trying", name]:
                trying = name
            case ["imported", name, found]:
                facts[name], trying = found, None
            case ["failed", name, reason]:
                errors[name], trying = reason, None
    if trying is not None:
        errors[trying] = f"the interpreter died with status {status}"
    return facts, errors


def import_all(modules: tuple[str, ...]) -> tuple[dict[str, dict], dict[str, str]]:
    facts: dict[str, dict] = {}
    errors: dict[str, str] = {}
    left = list(modules)
    while left:  # a second round only after a crash
        run = subprocess.run(
            [sys.executable, "-I", "-B", "-c", IMPORTER, *left], stdout=subprocess.PIPE, text=True
        )
        found, failed = parse_imports(run.stdout, run.returncode)
        if not found and not failed:
            raise RuntimeError(f"python could not start: status {run.returncode}")
        facts |= found
        errors |= failed
        left = [name for name in left if name not in facts and name not in errors]
    return facts, errors


def observe(modules: tuple[str, ...]) -> dict:
    facts, errors = import_all(modules)
    torch = facts.get("torch", {})
    check = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"],
        capture_output=True,
        text=True,
    )
    owners = importlib.metadata.packages_distributions().get("decord", [])
    return {
        "torch": torch.get("version"),
        "cuda": torch.get("cuda"),
        "torch_file": torch.get("file"),
        "versions": {name: found["version"] for name, found in facts.items()},
        "import_errors": errors,
        "decord_owners": sorted(set(owners)),
        "ffmpeg": shutil.which("ffmpeg"),
        "conflicts": parse_pip_check(check.returncode, check.stdout, check.stderr),
    }


def report(faults: list[Fault]) -> None:
    for fault in faults:
        print(f"error: {fault.what}\nhint: {fault.hint}", file=sys.stderr)
    if faults:
        sys.exit(1)


def main() -> None:
    match sys.argv[1:]:
        case ["record", path]:
            found = observe(("torch",))
            report(judge_base(found["torch"]))
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            kept = ("torch", "cuda", "torch_file", "conflicts")
            Path(path).write_text(json.dumps({key: found[key] for key in kept}, indent=2) + "\n")
            print(f"base: torch {found['torch']}, CUDA {found['cuda']}")
            for line in found["conflicts"]:
                print(f"base: has a conflict of its own: {line}")
        case ["check", path]:
            before = json.loads(Path(path).read_text())
            after = observe(MODULES)
            report(judge(before, after))
            versions = ", ".join(f"{name} {version}" for name, version in after["versions"].items())
            print(f"image: {versions}; no new conflicts")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
