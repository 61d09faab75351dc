"""What the GPU smoke plans, decides and prints, without a GPU and without torch."""

import contextlib
import importlib
import json
import sys
import types
import unittest

from smoke import child, clips, devices, plan, report, supervise, targets, tensors, torch_server

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

def request(**changed):
    return plan.parse_request(json.dumps(ASKED | changed))


def host_plan(mode):
    """What the host's table plans for this mode, `[id, needs a GPU]` each: `tests/python.rs` gives it as an argument."""
    return sorted(json.loads(sys.argv[-1])[mode])


class Planning(unittest.TestCase):
    def test_each_mode_plans_exactly_the_checks_of_the_hosts_table(self):
        for mode in plan.MODES:
            checks = [check for group in plan.groups_of(request(mode=mode)) for check in group.checks]
            self.assertEqual(sorted([check.id, check.needs_gpu] for check in checks), host_plan(mode), mode)
            self.assertTrue(checks, mode)

    def test_without_a_gpu_the_rest_is_run(self):
        groups, left_out = plan.split(request(gpu=False))
        run = [check.id for group in groups for check in group.checks]
        self.assertEqual(sorted(run), [name for name, needs_gpu in host_plan("quick") if not needs_gpu])
        self.assertEqual(
            sorted(check.id for check in left_out), [name for name, needs_gpu in host_plan("quick") if needs_gpu]
        )

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
        self.assertIn("CUDA_VISIBLE_DEVICES=`1`", devices.count_fault(2, 1, None, "1"))

    def test_cuda_is_asked_for_the_count_and_not_nvml_twice(self):
        """`torch.cuda.device_count` asks NVML. Of GPUs that are partitioned it says more than CUDA can use."""
        nvml = types.SimpleNamespace(count=lambda: 2)
        cuda = types.SimpleNamespace(init=lambda: None, device_count=nvml.count)
        usable = types.SimpleNamespace(_cuda_getDeviceCount=lambda: 1)
        torch = types.SimpleNamespace(cuda=cuda, _C=usable, device=lambda *device: device)
        sys.modules["torch"] = torch
        self.addCleanup(sys.modules.pop, "torch")
        self.addCleanup(setattr, devices, "Nvml", devices.Nvml)
        devices.Nvml = lambda: contextlib.nullcontext(nvml)
        found = child.outcome(devices.check_count, child.Run(request(), None, None))
        self.assertIn("NVML sees 2 device(s) and torch sees 1", found["error"])
        self.assertEqual(tensors.cuda_devices(torch), [("cuda", 0)])

    def test_a_device_needs_the_arch_and_torch(self):
        self.assertIsNone(devices.served_fault("12.0", ["sm_120"], "12.1"))
        self.assertIn("code for 12.0", devices.served_fault("12.0", ["sm_90"], "9.0"))
        self.assertIn("built for sm_90 compute_90", devices.served_fault("12.0", ["sm_90", "compute_90"], "12.0"))

    def test_torch_must_be_the_one_that_was_built_in(self):
        self.assertIsNone(torch_server.judge("2.6.0a0+ecf3bae40a.nv25.01", None))
        self.assertIsNone(torch_server.judge("2.6.0+debian", "2.6.0+debian"))
        self.assertIn("built with `2.6.0`", torch_server.judge("2.7.0", "2.6.0"))
        self.assertIn("older", torch_server.judge("1.13.1", None))


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


class Modules(unittest.TestCase):
    def test_none_imports_torch_by_being_imported(self):
        import sys

        for names in child.MODULES.values():
            for name in names:
                importlib.import_module("smoke." + name)
        self.assertNotIn("torch", sys.modules)


if __name__ == "__main__":
    unittest.main()
