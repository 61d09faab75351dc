"""The whole script against a driver, NVML and NVRTC of our own (`fake_cuda.c`): every call by ctypes is made for real.

A C compiler is there wherever Rust links.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from smoke import kernel, plan
from test_smoke_plan import ASKED, request

HERE = Path(__file__).parent
DOCKER = Path(plan.__file__).parent.parent
# The script as it is, but for the device node, which only a real driver makes, and the groups that need no driver.
START = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from smoke import native, plan
native.NODES = ("/dev/null",)
plan.GROUPS = tuple(group for group in plan.GROUPS if group.name == "native")
import gpu_smoke
sys.exit(gpu_smoke.main())
"""


class Driver(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.libraries = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.libraries)
        library = cls.libraries / "libcuda.so.1"
        compile = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "fake_cuda.c")]
        subprocess.run(compile, check=True)
        for name in ("libnvidia-ml.so.1", "libnvrtc.so.13"):
            (cls.libraries / name).symlink_to(library)

    def report(self, fault="", **changed):
        environment = os.environ | {"LD_LIBRARY_PATH": str(self.libraries), "FAKE_CUDA": fault}
        asked = json.dumps(ASKED | {"mode": "native"} | changed)
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", START, str(DOCKER), asked],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[1])

    def check(self, name, fault="", **changed):
        return next(check for check in self.report(fault, **changed)["checks"] if check["id"] == name)

    def test_the_native_proof_passes_on_both_devices(self):
        found = self.report()
        self.assertEqual({check["status"] for check in found["checks"]}, {"passed"}, found["checks"])
        self.assertEqual(found["driver"], {"version": "570.86.15", "cuda": "12.8"})
        self.assertEqual(
            found["devices"][1],
            {
                "index": 1,
                "name": "Fake 1",
                "uuid": "GPU-0b0b0b0b-0b0b-0b0b-0b0b-0b0b0b0b0b0b",
                "capability": "12.0",
                "memory_bytes": 11 << 32,
            },
        )
        values = found["checks"][2]["values"]
        self.assertEqual(values["kernel"], {"n": kernel.N})
        # Computed in C there, and here in Python.
        digest = kernel.digest(kernel.expected(kernel.N, request().nonce32, 1200))
        self.assertEqual([one["digest"] for one in values["devices"]], [digest, digest])
        self.assertEqual({one["binary_version"] for one in values["devices"]}, {120})

    def test_another_nonce_gives_another_digest(self):
        def digests(nonce):
            found = self.check("native.code", nonce=nonce)
            return {one["digest"] for one in found["values"]["devices"]}

        self.assertFalse(digests("0" * 24) & digests("1" * 24))

    def test_each_fault_is_seen_where_it_belongs(self):
        expected = (
            ("init", "driver.present", "804): forward compatibility was attempted on non supported HW"),
            ("nvml", "driver.present", "Failed to initialize NVML: Unknown Error"),
            ("refuse", "native.code", "CUDA_ERROR_NO_BINARY_FOR_GPU (209): no kernel image is available"),
            ("older", "native.code", "BINARY_VERSION is 90, not 120"),
            ("constant", "native.code", "element 1 of 1048579 is wrong"),
            ("behind", "native.code", "the kernel wrote behind its output"),
            # Where it happened, not the cleaning up that fails after it.
            ("fault", "native.code", "cuCtxSynchronize: CUDA_ERROR_OTHER (700)"),
            ("empty", "native.code", "no native code was produced"),
        )
        with ThreadPoolExecutor(4) as pool:
            reports = pool.map(self.report, [fault for fault, _, _ in expected])
            for (fault, name, text), report in zip(expected, reports):
                found = next(check for check in report["checks"] if check["id"] == name)
                self.assertEqual(found["status"], "failed", fault)
                self.assertIn(text, found["error"], fault)

    def test_code_for_another_capability_is_not_served(self):
        found = self.report(arch="9.0")
        self.assertEqual(found["checks"][1]["status"], "failed")
        self.assertIn("Fake 0 has capability 12.0", found["checks"][1]["error"])

    def test_an_instance_of_a_partitioned_gpu_is_named_as_nvidia_names_it(self):
        found = self.report("mig")
        self.assertEqual({check["status"] for check in found["checks"]}, {"passed"}, found["checks"])
        self.assertEqual(found["devices"][1]["uuid"], "MIG-0b0b0b0b-0b0b-0b0b-0b0b-0b0b0b0b0b0b")

    def test_a_target_that_the_compiler_does_not_know_is_named(self):
        found = self.check("native.code", arch="12.1")
        self.assertIn("NVRTC 12.8 cannot compile for sm_121: invalid value!", found["error"])

    def test_a_driver_that_hangs_is_ended(self):
        found = self.check("driver.present", "hang", seconds=1)
        self.assertEqual(found["error"], "timed out: the whole run is bound to 1 s")

    def test_the_health_that_nvml_tells(self):
        faults = {"": None, "ecc": "health.ecc", "rows": "health.ecc", "hot": "health.throttle", "lanes": "pcie.link"}
        with ThreadPoolExecutor(4) as pool:
            reports = pool.map(lambda fault: self.report(fault, mode="quick"), faults)
            for (fault, wrong), report in zip(faults.items(), reports):
                found = {check["id"]: check for check in report["checks"]}
                for name in ("health.ecc", "health.throttle", "pcie.link"):
                    self.assertEqual(
                        found[name]["status"], "failed" if name == wrong else "passed", (fault, found[name])
                    )
                if wrong != "health.ecc":
                    self.assertIn("no ECC", found["health.ecc"]["evidence"])


if __name__ == "__main__":
    unittest.main()
