"""The health of the devices, as NVML reports it. These checks are reported and not required. Pure functions judge."""

from __future__ import annotations

from smoke.child import Failed, Run
from smoke.nvml import CORRECTED, UNCORRECTED, Nvml

# The throttle reasons that indicate a fault. Idle clocks, application settings and the power cap are normal.
THROTTLE = {0x8: "hardware slowdown", 0x20: "heat (software)", 0x40: "heat (hardware)", 0x80: "power brake"}


def ecc_fault(device: dict) -> str | None:
    rows = device["rows"] or {}
    if device["uncorrected"]:
        return f"{device['uncorrected']} uncorrected memory errors since the driver was loaded"
    if rows.get("failed"):
        return "the remapping of memory rows failed"
    if rows.get("pending"):
        return "a remapped memory row waits for a reset of the GPU"
    return None


def throttle_fault(reasons: int | None) -> str | None:
    found = [text for bit, text in THROTTLE.items() if (reasons or 0) & bit]
    return "the clocks are held down: " + ", ".join(found) if found else None


def pcie_fault(link: dict) -> str | None:
    """Only the width is judged: an idle link lowers its generation by itself, but never its width."""
    width, most = link["width"], link["max_width"]
    if width and most and width < most:
        return f"the link has {width} of {most} lanes"
    return None


def looked_at(look, fault_of, words) -> tuple[str, dict]:
    """Reads the facts of each device, judges them, and describes them in a few words."""
    with Nvml() as nvml:
        devices = [{"uuid": nvml.uuid(handle)} | look(nvml, handle) for handle in nvml.handles()]
    faults = [f"{device['uuid']}: {fault}" for device in devices if (fault := fault_of(device))]
    values = {"devices": devices}
    if faults:
        raise Failed("; ".join(faults), values)
    return "; ".join(words(device) for device in devices), values


def check_ecc(_: Run):
    def look(nvml, handle):
        return {
            "corrected": nvml.ecc_errors(handle, CORRECTED),
            "uncorrected": nvml.ecc_errors(handle, UNCORRECTED),
            "rows": nvml.remapped_rows(handle),
        }

    def words(device):
        if device["uncorrected"] is None:
            return "no ECC"
        return f"{device['corrected']} corrected, no uncorrected errors"

    return looked_at(look, ecc_fault, words)


def check_throttle(_: Run):
    return looked_at(
        lambda nvml, handle: {"reasons": nvml.throttle_reasons(handle)},
        lambda device: throttle_fault(device["reasons"]),
        lambda device: f"reasons {device['reasons'] or 0:#x}",
    )


def check_pcie(_: Run):
    def words(link):
        return (
            f"generation {link['generation']} x{link['width']} (at most {link['max_generation']} x{link['max_width']})"
        )

    return looked_at(lambda nvml, handle: nvml.pcie(handle), pcie_fault, words)


CHECKS = {"health.ecc": check_ecc, "health.throttle": check_throttle, "pcie.link": check_pcie}
