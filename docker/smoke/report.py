"""The shape of the report, and the marker lines around it. Pure."""

from __future__ import annotations

import json

from smoke.plan import SCHEMA, Check, Request

VERSIONS = ("python", "torch", "cuda", "cudnn", "nccl", "decord", "einops", "timm", "ffmpeg", "numpy")
BEGIN = "codex-sandbox-gpu-smoke-report"
END = "codex-sandbox-gpu-smoke-end"


def not_run(reason: str) -> dict:
    return {"status": "not-run", "seconds": 0.0, "evidence": reason, "error": reason, "values": {}}


def failed(error: str, seconds: float = 0.0) -> dict:
    return {"status": "failed", "seconds": round(seconds, 4), "evidence": "", "error": error, "values": {}}


def assemble(
    request: Request,
    order: list[str],
    results: dict[str, dict],
    facts: dict,
    left_out: tuple[Check, ...],
    seconds: float,
) -> dict:
    """The report, with each planned check exactly once and in the order of the plan."""
    results = results | {check.id: not_run("no GPU was asked for") for check in left_out}
    if sorted(results) != sorted(order):
        raise ValueError(f"planned {sorted(order)}, and there are results of {sorted(results)}")
    versions = facts.get("versions", {})
    driver = facts.get("driver", {})
    return {
        "schema": SCHEMA,
        "nonce": request.nonce,
        "arch": request.arch,
        "mode": request.mode,
        "seed": request.seed,
        "seconds": round(seconds, 4),
        "versions": {name: versions.get(name) for name in VERSIONS},
        "driver": {name: driver.get(name) for name in ("version", "cuda")},
        "devices": facts.get("devices", []),
        "checks": [{"id": name} | results[name] for name in order],
    }


def framed(report: dict) -> str:
    """The report between two marker lines with the nonce: an entrypoint may print before it, and a library after it."""
    nonce = report["nonce"]
    # NaN is not valid JSON, and a check that measured a NaN has failed anyway.
    return f"{BEGIN} {nonce}\n{json.dumps(report, allow_nan=False)}\n{END} {nonce}\n"
