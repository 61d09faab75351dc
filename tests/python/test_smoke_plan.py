"""What the GPU smoke plans, decides and prints, without a GPU and without torch."""

import importlib
import json
import struct
import unittest

from smoke import child, clips, devices, health, kernel, loading, native, plan, report, supervise, targets, torch_server
from smoke.cuda import CudaError

ASKED = {
    "schema": 1,
    "nonce": "0123456789abcdef01234567",
    "arch": "12.0",
    "mode": "quick",
    "gpus": None,
    "gpu": True,
    "dataset": None,
    "seconds": 300,
    "torch": None,
}
NATIVE = "driver.present devices.served native.code"
CPU = (
    "versions.torch shm.size dataloader.workers ffmpeg.present einops.rearrange timm.cpu "
    "decord.owner decord.vp9 decord.h264 decord.corrupt decord.dataset"
)
GPU = (
    "driver.present driver.version devices.count devices.served versions.cudnn native.code aten.native "
    "matmul.fp32 matmul.tf32 matmul.fp16 matmul.bf16 conv2d.forward conv2d.backward attention.default "
    "transfer.pageable transfer.pinned timm.gpu nccl.all-reduce "
    "attention.flash health.ecc health.throttle pcie.link speed.matmul speed.copy"
)
FULL = "compile.torch extension.nvcc decoder.nvdec"


def request(**changed):
    return plan.parse_request(json.dumps(ASKED | changed))


def planned(asked):
    return sorted(check.id for group in plan.groups_of(asked) for check in group.checks)


class Planning(unittest.TestCase):
    def test_each_mode_plans_exactly_its_checks(self):
        self.assertEqual(planned(request(mode="native")), sorted(NATIVE.split()))
        self.assertEqual(planned(request()), sorted(f"{CPU} {GPU}".split()))
        self.assertEqual(planned(request(mode="full")), sorted(f"{CPU} {GPU} {FULL}".split()))

    def test_without_a_gpu_the_rest_is_run(self):
        groups, left_out = plan.split(request(gpu=False))
        run = [check.id for group in groups for check in group.checks]
        self.assertEqual(sorted(run), sorted(CPU.split()))
        self.assertEqual(sorted(check.id for check in left_out), sorted(GPU.split()))

    def test_every_planned_check_has_its_function(self):
        for mode in plan.MODES:
            for group in plan.groups_of(request(mode=mode)):
                functions = torch_server.CHECKS if group.name == "torch" else child.functions_of(group.name)
                for check in group.checks:
                    self.assertTrue(callable(functions.get(check.id)), check.id)

    def test_what_a_check_needs_comes_before_it(self):
        for group in plan.GROUPS:
            names = [check.id for check in group.checks]
            for at, check in enumerate(group.checks):
                for need in check.needs:
                    self.assertIn(need, names[:at], check.id)

    def test_a_request_that_cannot_be_read_is_refused(self):
        for changed in (
            {"schema": 2},
            {"nonce": "0123"},
            {"nonce": "G" * 24},
            {"arch": "sm_120"},
            {"mode": "slow"},
            {"gpus": -1},
            {"gpus": True},
            {"gpu": 1},
            {"dataset": 3},
            {"seconds": 0},
            {"torch": 2.6},
        ):
            with self.assertRaises(plan.BadRequest, msg=str(changed)):
                request(**changed)
        for text in ("", "[]", "{"):
            with self.assertRaises(plan.BadRequest):
                plan.parse_request(text)

    def test_the_seed_is_of_the_nonce(self):
        self.assertEqual(request().seed, request().seed)
        self.assertNotEqual(request().seed, request(nonce="1" * 24).seed)
        self.assertEqual(request(nonce="deadbeef" + "0" * 16).nonce32, 0xDEADBEEF)


class Reporting(unittest.TestCase):
    def assembled(self, results):
        passed = report.not_run("no reason") | {"status": "passed"}
        order = ["a", "b", "c"]
        left_out = (plan.Check("c"),)
        return report.assemble(request(), order, {name: passed for name in results}, {}, left_out, 1.5)

    def test_one_line_between_two_markers(self):
        before, line, after, rest = report.framed(self.assembled("ab")).split("\n")
        self.assertEqual(before, "codex-sandbox-gpu-smoke-report " + ASKED["nonce"])
        self.assertEqual(after, "codex-sandbox-gpu-smoke-end " + ASKED["nonce"])
        self.assertEqual(rest, "")
        found = json.loads(line)
        self.assertEqual([check["id"] for check in found["checks"]], ["a", "b", "c"])
        self.assertEqual([check["status"] for check in found["checks"]], ["passed", "passed", "not-run"])
        self.assertEqual(set(found["versions"]), set(report.VERSIONS))
        self.assertEqual(set(found["checks"][0]), {"id", "status", "seconds", "evidence", "error", "values"})

    def test_text_that_is_not_ascii_is_escaped(self):
        found = self.assembled("ab")
        found["checks"][0]["evidence"] = "é\n\u2028"
        framed = report.framed(found)
        self.assertTrue(framed.isascii())
        self.assertEqual(framed.count("\n"), 3)

    def test_a_lacking_or_unplanned_result_is_no_report(self):
        for results in ("a", "abd"):
            with self.assertRaises(ValueError):
                self.assembled(results)

    def test_what_is_not_a_number_is_no_json(self):
        found = self.assembled("ab")
        found["checks"][0]["values"] = {"relative": float("nan")}
        with self.assertRaises(ValueError):
            report.framed(found)


class Targets(unittest.TestCase):
    def test_native_code_runs_on_its_major_from_its_minor_on(self):
        for arch, capability, fits in (
            ("12.0", "12.0", True),
            ("12.0", "12.1", True),
            ("12.1", "12.0", False),
            ("12.0", "10.0", False),
            ("12.0", "9.0", False),
            ("10.0", "10.3", True),
            ("9.0", "12.0", False),
            ("12.0a", "12.0", True),
            ("12.0a", "12.1", False),
            ("12.0f", "12.1", True),
        ):
            self.assertEqual(targets.serves(arch, capability), fits, (arch, capability))

    def test_torch_serves_a_device_by_native_code_alone(self):
        self.assertTrue(targets.torch_serves(["sm_90", "sm_100", "sm_120"], "12.0"))
        self.assertTrue(targets.torch_serves(["sm_80", "compute_90"], "8.6"))
        self.assertFalse(targets.torch_serves(["sm_90", "compute_120"], "12.0"))
        self.assertFalse(targets.torch_serves(["sm_90a"], "9.1"))
        self.assertFalse(targets.torch_serves([], "12.0"))

    def test_names_and_numbers(self):
        self.assertEqual((targets.sm("12.0"), targets.sm("9.0a")), ("sm_120", "sm_90a"))
        self.assertEqual((targets.number("12.1"), targets.cuda_arch("9.0a")), (121, 900))
        self.assertEqual((targets.cuda_version(12080), targets.cuda_version(13010)), ("12.8", "13.1"))

    def test_a_driver_of_an_older_major_is_too_old(self):
        self.assertTrue(targets.driver_serves("12.4", "12.8"))
        self.assertTrue(targets.driver_serves("13.0", "12.8"))
        self.assertFalse(targets.driver_serves("12.8", "13.0"))

    def test_counts_must_agree(self):
        self.assertIsNone(devices.count_fault(2, 2, None))
        self.assertIsNone(devices.count_fault(2, 2, 2))
        for counts in ((2, 1, None), (1, 1, 2), (1, 0, None), (0, 0, 0)):
            self.assertIsNotNone(devices.count_fault(*counts), counts)

    def test_a_device_needs_the_arch_and_torch(self):
        self.assertIsNone(devices.served_fault("12.0", ["sm_120"], "12.1"))
        self.assertIn("code for 12.0", devices.served_fault("12.0", ["sm_90"], "9.0"))
        self.assertIn("built for sm_90 compute_90", devices.served_fault("12.0", ["sm_90", "compute_90"], "12.0"))

    def test_torch_must_be_the_one_that_was_built_in(self):
        self.assertIsNone(torch_server.judge("2.6.0a0+ecf3bae40a.nv25.01", None))
        self.assertIsNone(torch_server.judge("2.6.0+debian", "2.6.0+debian"))
        self.assertIn("built with `2.6.0`", torch_server.judge("2.7.0", "2.6.0"))
        self.assertIn("older", torch_server.judge("1.13.1", None))


def elf(abi, flags, machine=190):
    header = bytearray(64)
    header[:4] = b"\x7fELF"
    header[8] = abi
    struct.pack_into("<H", header, 18, machine)
    struct.pack_into("<I", header, 48, flags)
    return bytes(header)


class Kernel(unittest.TestCase):
    def test_the_header_of_both_versions_names_the_target(self):
        # As NVRTC 12.8 writes them for sm_120, sm_120a and sm_90, and NVRTC 13 for sm_90.
        for abi, flags, arch in ((8, 0x06007802, 120), (8, 0x0600780A, 120), (7, 0x005A055A, 90), (8, 0x06005A04, 90)):
            self.assertEqual(kernel.elf_arch(elf(abi, flags)), arch)

    def test_what_is_no_native_code_is_refused(self):
        for data in (b"", b"//\n.version 8.7\n.target sm_120\n" + b" " * 64, elf(8, 0, machine=62)):
            with self.assertRaises(ValueError):
                kernel.elf_arch(data)

    def test_elements(self):
        # By hand: i = 0 gives v = key, and i = 1 the first constant.
        self.assertEqual(kernel.element(0, 0, 1200), 1200 * 2246822519 % 2**32)
        v = 2654435761 ^ 1200
        self.assertEqual(kernel.element(1, 0, 1200), ((v ^ v >> 15) * 2246822519 + 1) % 2**32)
        self.assertEqual(kernel.element(5, 2**32 - 1200, 1200), kernel.element(5, 0, 0))

    def test_the_whole_output_is_its_elements(self):
        for nonce32, arch in ((0x01234567, 1200), (0xFFFFFFFF, 900)):
            words = struct.unpack("<1000I", kernel.expected(1000, nonce32, arch))
            self.assertEqual(list(words), [kernel.element(i, nonce32, arch) for i in range(1000)])

    def test_the_digest_of_a_known_run(self):
        """The host has the same numbers: the two must not drift apart."""
        output = kernel.expected(kernel.N, 0x01234567, 1200)
        self.assertEqual(len(output), 4 * 1048579)
        self.assertEqual(kernel.digest(output), "8433c3f77afd2660fec915a632d57ea93aa311b5b34986d418e207e2ab3e7f62")

    def test_the_first_difference(self):
        want = kernel.expected(100, 1, 1200)
        self.assertIsNone(kernel.first_difference(want, want))
        self.assertEqual(kernel.first_difference(want[:160] + b"\xff" + want[161:], want), 40)
        self.assertEqual(kernel.first_difference(want[:-4], want), 99)


class Device:
    """A driver whose device computes as it is told to."""

    def __init__(self, capability="12.0", binary=120, output=None, behind=None, load=None):
        self.capability, self.binary, self.output, self.behind, self.error = capability, binary, output, behind, load

    def devices(self):
        one = {"name": "A GPU", "capability": self.capability, "memory_bytes": 1}
        return [one | {"index": index, "uuid": f"GPU-{index}"} for index in range(2)]

    def launch(self, index, cubin, name, n, nonce32, guard, fill):
        if self.error:
            raise self.error
        output = kernel.expected(n, nonce32, 1200)
        return self.binary, (self.output or (lambda right: right))(output), self.behind or fill.to_bytes(4, "little") * guard


class NativeCode(unittest.TestCase):
    def setUp(self):
        self.compiled = native.nvrtc.compiled
        self.addCleanup(setattr, native.nvrtc, "compiled", self.compiled)
        self.n = kernel.N
        kernel.N = 1027
        self.addCleanup(setattr, kernel, "N", self.n)
        self.binary(elf(8, 0x06007802))

    def binary(self, data):
        native.nvrtc.compiled = lambda source, target: data

    def code(self, **device):
        run = child.Run(request(), None, None, {"driver": Device(**device)})
        return child.outcome(native.check_code, run)

    def test_right_elements_on_each_device_pass_with_what_the_host_needs(self):
        found = self.code()
        self.assertEqual(found["status"], "passed", found["error"])
        self.assertEqual(found["values"]["kernel"], {"n": 1027})
        self.assertEqual([one["uuid"] for one in found["values"]["devices"]], ["GPU-0", "GPU-1"])
        first = found["values"]["devices"][0]
        self.assertEqual((first["elf_arch"], first["binary_version"], first["cuda_arch"]), (120, 120, 1200))
        self.assertEqual(first["digest"], kernel.digest(kernel.expected(1027, request().nonce32, 1200)))

    def fails(self, text, **device):
        found = self.code(**device)
        self.assertEqual(found["status"], "failed")
        self.assertIn(text, found["error"])

    def test_sabotage_is_seen(self):
        nonce32 = request().nonce32
        self.fails("element", output=lambda right: kernel.expected(1027, nonce32 + 1, 1200))
        self.fails("element", output=lambda right: kernel.expected(1027, nonce32, 900))
        self.fails("element 1026", output=lambda right: right[:-4] + b"\xa5\xc3\xf0\x0d")
        self.fails("element 0", output=lambda right: bytes(len(right)))
        self.fails("behind", behind=bytes(4 * kernel.GUARD))
        self.fails("BINARY_VERSION is 90", binary=90)

    def test_a_device_that_refuses_the_code_is_named(self):
        error = CudaError("cuModuleLoadData", 209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available")
        self.fails("GPU-0 (A GPU): cuModuleLoadData: CUDA_ERROR_NO_BINARY_FOR_GPU (209): no kernel image", load=error)

    def test_ptx_is_no_proof(self):
        self.binary(b".version 8.7\n.target sm_120\n" + b" " * 64)
        self.fails("not an ELF file")

    def test_code_for_another_target_is_no_proof(self):
        self.binary(elf(7, 0x005A055A))
        self.fails("names 90, not 120")

    def test_the_capability_must_be_served(self):
        def served(capability):
            run = child.Run(request(), None, None, {"driver": Device(capability=capability)})
            return child.outcome(native.check_served, run)

        self.assertEqual(served("12.1")["status"], "passed")
        found = served("9.0")
        self.assertEqual(found["status"], "failed")
        self.assertIn("A GPU has capability 9.0", found["error"])


class Health(unittest.TestCase):
    def test_memory(self):
        whole = {"uncorrected": 0, "corrected": 3, "rows": {"pending": 0, "failed": 0}}
        self.assertIsNone(health.ecc_fault(whole))
        self.assertIsNone(health.ecc_fault({"uncorrected": None, "rows": None}))
        self.assertIn("2 uncorrected", health.ecc_fault(whole | {"uncorrected": 2}))
        self.assertIn("reset", health.ecc_fault(whole | {"rows": {"pending": 1, "failed": 0}}))
        self.assertIn("failed", health.ecc_fault(whole | {"rows": {"pending": 0, "failed": 1}}))

    def test_clocks(self):
        for daily in (None, 0, 0x1, 0x2, 0x4, 0x10, 0x100):
            self.assertIsNone(health.throttle_fault(daily))
        self.assertIn("heat (hardware)", health.throttle_fault(0x40 | 0x4))

    def test_lanes(self):
        link = {"generation": 1, "width": 16, "max_generation": 5, "max_width": 16}
        self.assertIsNone(health.pcie_fault(link))
        self.assertIsNone(health.pcie_fault(link | {"width": None}))
        self.assertIn("8 of 16", health.pcie_fault(link | {"width": 8}))


class Clips(unittest.TestCase):
    def test_a_frame_says_which_it_is(self):
        for index in (0, 1, 17, clips.FRAMES - 1):
            pixels = clips.frame(7, index)
            self.assertIsNone(clips.fault(pixels, 7, index))
            self.assertIn(f"index {index}", clips.fault(pixels, 7, index + 1))
            self.assertIn("another run", clips.fault(pixels, 8, index))

    def test_a_wrong_colour_or_size_is_seen(self):
        pixels = clips.frame(7, 5)
        grey = pixels[: clips.WIDTH * clips.ROWS[2] * 3]
        self.assertIn("colour", clips.fault(grey + b"\x80" * (len(pixels) - len(grey)), 7, 5))
        self.assertIn("bytes", clips.fault(pixels[:-3], 7, 5))

    def test_damage_leaves_the_head_and_the_length(self):
        data = bytes(range(256)) * 100
        damaged = clips.damaged(data, 3)
        self.assertEqual(damaged[: len(data) // 2], data[: len(data) // 2])
        self.assertEqual(len(damaged), len(data))
        self.assertGreater(sum(a != b for a, b in zip(data, damaged)), 100)


class Endings(unittest.TestCase):
    def test_wait_statuses_in_words(self):
        self.assertEqual(supervise.reason_of(7), "the child was killed by signal 7 (SIGBUS)")
        self.assertEqual(supervise.reason_of(3 << 8), "the child ended with status 3")

    def test_a_batch_from_the_main_process_is_no_worker(self):
        self.assertEqual(len(loading.Words(1, 8, 2)), 2)


class Modules(unittest.TestCase):
    def test_none_imports_torch_by_being_imported(self):
        import sys

        for names in child.MODULES.values():
            for name in names:
                importlib.import_module("smoke." + name)
        self.assertNotIn("torch", sys.modules)


if __name__ == "__main__":
    unittest.main()
