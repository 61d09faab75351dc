"""The proof of native code and the devices' health, judged without a device."""

import struct
import unittest

from smoke import child, health, kernel, native
from smoke.cuda import CudaError
from test_smoke_plan import request


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
        return (
            self.binary,
            (self.output or (lambda right: right))(output),
            self.behind or fill.to_bytes(4, "little") * guard,
        )


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


if __name__ == "__main__":
    unittest.main()
