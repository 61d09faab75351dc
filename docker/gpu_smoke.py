"""The inside half of `cargo xtask gpu-smoke`: does this GPU run this image, and does the image decode video?

    python3 -B /sandbox/gpu_smoke.py REQUEST

REQUEST is one JSON argument (see `smoke/plan.py`). The report is one line of JSON on standard output, between two
marker lines that carry the nonce of the request. Progress goes to standard error. This script judges each check; the
host judges the run as a whole. Exit status 0 means that a complete report was printed, 1 that it was not.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from smoke import plan, report
from smoke.supervise import Supervisor


def environment(tmp: Path) -> None:
    """Sets the environment of all children: no downloads, caches below `tmp`, and the default of the PTX JIT."""
    tempfile.tempdir = str(tmp)  # so that the files of a killed child are removed too
    os.environ.pop("CUDA_FORCE_PTX_JIT", None)
    os.environ.pop("CUDA_DISABLE_PTX_JIT", None)
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(tmp),
        "XDG_CACHE_HOME": str(tmp / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp / "inductor"),
        "TRITON_CACHE_DIR": str(tmp / "triton"),
        "TORCH_EXTENSIONS_DIR": str(tmp / "extensions"),
        "CUDA_CACHE_PATH": str(tmp / "cuda"),
    }


def terminated(*_) -> None:
    raise SystemExit(1)


def main() -> int:
    start = time.monotonic()
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        request = plan.parse_request(sys.argv[1])
    except plan.BadRequest as err:
        print(f"gpu-smoke: {err}", file=sys.stderr)
        return 1
    # Only the report goes to standard output: what a library prints there is redirected to standard error.
    out = os.dup(1)
    os.dup2(2, 1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, terminated)
    tmp = Path(tempfile.mkdtemp(prefix="gpu-smoke-"))
    try:
        environment(tmp)
        groups, left_out = plan.split(request)
        supervisor = Supervisor(request, groups, tmp, start)
        supervisor.facts["versions"]["python"] = platform.python_version()
        results = supervisor.run()
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    order = [check.id for group in plan.groups_of(request) for check in group.checks]
    found = report.assemble(request, order, results, supervisor.facts, left_out, time.monotonic() - start)
    with os.fdopen(out, "w", encoding="ascii") as stream:
        stream.write(report.framed(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
