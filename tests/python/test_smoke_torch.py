"""The checks with tensors, on the CPU: what is right passes, each sabotage fails. Needs torch: run in the image."""

import os
import tempfile
import time
import types
import unittest
from pathlib import Path

import torch

from smoke import aten, child, loading, models, nccl, numerics, plan, tensors, torch_server, transfer
from smoke.child import Failed
from test_smoke_plan import request

CPU = torch.device("cpu")
torch.set_num_threads(1)  # the pool of threads of a process that has computed does not live on in its forks


def source(seed=1):
    return torch.Generator().manual_seed(seed)


def draw(name="x"):
    return tensors.numbers(types.SimpleNamespace(request=request()), name)


def rounded(values, bits):
    """To so many bits behind the first: what a coarser format would hold."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2 ** (bits + 1)) / 2 ** (bits + 1), exponent)


class Places(unittest.TestCase):
    def test_a_tensor_elsewhere_is_refused(self):
        tensor = torch.zeros(2)
        self.assertIs(tensors.on(tensor, CPU), tensor)
        for device in ("cuda:0", "meta"):
            with self.assertRaisesRegex(Failed, "a tensor is on `cpu`, and must be on `" + device):
                tensors.on(tensor, torch.device(device))
        with self.assertRaisesRegex(Failed, "on `meta`"):
            numerics.matmul(torch, CPU, "fp32", (3, 5, 7), source(), lambda a, b: (a @ b).to("meta"))

    def test_a_result_left_on_the_cpu_is_no_result_of_a_device(self):
        """The device is one that is not the CPU, so that falling back can be told."""
        with self.assertRaisesRegex(Failed, "on `cpu`, and must be on `meta`"):
            meta = torch.device("meta")
            numerics.matmul(torch, meta, "fp32", (3, 5, 7), source(), lambda a, b: torch.zeros(3, 7))

    def test_tf32_is_switched_off_whatever_was_set(self):
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        tensors.exact(torch)
        self.assertFalse(torch.backends.cuda.matmul.allow_tf32)
        self.assertFalse(torch.backends.cudnn.allow_tf32)


class Distances(unittest.TestCase):
    def setUp(self):
        self.want = torch.randn(200, 300, dtype=torch.float64, generator=source())

    def fails(self, text, got, want=None, tolerance=1e-5):
        with self.assertRaisesRegex(Failed, text):
            tensors.near(torch, "it", got, self.want if want is None else want, tolerance)

    def test_near_is_near(self):
        found = tensors.near(torch, "it", self.want.float(), self.want, 1e-6)
        self.assertLess(found["relative"], 1e-7)

    def test_one_wrong_element_of_many(self):
        got = self.want.clone()
        got[17, 23] += 1e-3
        self.fails("worst element", got)

    def test_all_a_little_wrong(self):
        self.fails("relative error", self.want * (1 + 2e-5))

    def test_what_proves_nothing(self):
        self.fails("shape", self.want.T)
        self.fails("not finite", self.want / 0)
        self.fails("all zero", torch.zeros(3), torch.zeros(3, dtype=torch.float64))

    def test_inputs_are_what_the_type_can_hold(self):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            values = tensors.normal(torch, (50, 50), source(), dtype)
            self.assertTrue(torch.equal(values.to(dtype).double(), values))

    def test_seeds_repeat_and_differ_by_name(self):
        run = types.SimpleNamespace(request=request())
        one = [tensors.generator(torch, run, name).initial_seed() for name in ("a", "a", "b")]
        self.assertEqual(one[0], one[1])
        self.assertNotEqual(one[0], one[2])


class Matmul(unittest.TestCase):
    def test_each_precision_passes(self):
        for kind in numerics.MATMUL:
            for shape in numerics.matmul_shapes(draw(kind)):
                numerics.matmul(torch, CPU, kind, shape, source())

    def test_shapes_are_odd_and_not_square(self):
        for at in range(50):
            tiled, odd = numerics.matmul_shapes(draw(str(at)))
            self.assertEqual(([size % 16 for size in tiled], [size % 2 for size in odd]), ([0] * 3, [1] * 3))
            self.assertEqual((len(set(tiled)), len(set(odd))), (3, 3))

    def test_a_coarser_precision_is_seen(self):
        def coarse(bits):
            return lambda a, b: (rounded(a.double(), bits) @ rounded(b.double(), bits)).to(a.dtype)

        shape = (173, 311, 257)
        numerics.matmul(torch, CPU, "tf32", shape, source(), coarse(10))
        numerics.matmul(torch, CPU, "fp32", shape, source(), coarse(23))
        for kind, bits in (("fp32", 10), ("tf32", 7), ("fp16", 7), ("bf16", 5)):
            with self.assertRaisesRegex(Failed, "differs from fp64", msg=kind):
                numerics.matmul(torch, CPU, kind, shape, source(), coarse(bits))

    def test_hardware_that_is_right_passes_with_room_to_spare(self):
        """TF32 that cuts its inputs instead of rounding them, as new hardware does, has the largest error of all that
        is right; sums kept in halves are the next."""

        def cut(a, b):
            left, right = ((value.view(torch.int32) & ~0x1FFF).view(torch.float32) for value in (a, b))
            return left @ right

        def in_parts(a, b):
            parts = zip(a.float().chunk(4, 1), b.float().chunk(4, 0))
            return sum((left @ right).to(a.dtype).float() for left, right in parts).to(a.dtype)

        for kind, multiply, room in (("tf32", cut, 2.5), ("fp16", in_parts, 2), ("bf16", in_parts, 2)):
            found = numerics.matmul(torch, CPU, kind, (173, 511, 257), source(), multiply)
            self.assertLess(found["relative"] * room, found["tolerance"], kind)
        with self.assertRaisesRegex(Failed, "fp32 173x511x257 .* differs from fp64"):
            numerics.matmul(torch, CPU, "fp32", (173, 511, 257), source(), cut)

    def test_a_product_of_others_is_seen(self):
        for wrong in (
            lambda a, b: a @ b + 1,
            lambda a, b: torch.zeros(a.shape[0], b.shape[1]),
            lambda a, b: a[:, :-1] @ b[:-1],
            lambda a, b: (a @ b).roll(1, 0),
        ):
            with self.assertRaises(Failed):
                numerics.matmul(torch, CPU, "bf16", (33, 65, 17), source(), wrong)


class Convolution(unittest.TestCase):
    def test_both_ways_pass_in_many_shapes(self):
        for at in range(6):
            numerics.convolve(torch, CPU, draw(str(at)), source(at), backward=False)
            self.assertEqual(len(numerics.convolve(torch, CPU, draw(str(at)), source(at), backward=True)), 3)

    def sabotaged(self, convolution, backward=False):
        with self.assertRaises(Failed) as caught:
            numerics.convolve(torch, CPU, draw("conv"), source(), backward, convolution)
        return str(caught.exception)

    def test_sabotage_is_seen(self):
        real = torch.nn.functional.conv2d

        def tf32(x, w, bias, **options):
            return real(rounded(x, 10), rounded(w, 10), bias, **options)

        def cut_from_bias(x, w, bias, **options):
            return real(x, w, bias * 2 - bias.detach(), **options)

        self.assertIn("differs from fp64", self.sabotaged(tf32))
        self.assertIn(
            "differs from fp64", self.sabotaged(lambda x, w, bias, **options: real(x, w.flip(2), bias, **options))
        )
        self.assertIn("gradient of the bias", self.sabotaged(cut_from_bias, backward=True))


class Attention(unittest.TestCase):
    def test_both_precisions_pass(self):
        for at in range(4):
            for kind in numerics.ATTENTION:
                self.assertEqual(
                    len(numerics.attend(torch, CPU, kind, numerics.attention_shape(draw(str(at))), source(at))), 4
                )

    def test_sabotage_is_seen(self):
        real = torch.nn.functional.scaled_dot_product_attention
        for text, wrong in (
            ("differs", lambda q, k, v: real(q, k, v, scale=0.2)),
            ("differs", lambda q, k, v: real(q, k, v.roll(1, 2))),
            ("gradient of k", lambda q, k, v: real(q, k * 2 - k.detach(), v)),
        ):
            with self.assertRaisesRegex(Failed, text):
                numerics.attend(torch, CPU, "fp16", (2, 3, 65, 77, 64), source(), wrong)


class Transfers(unittest.TestCase):
    def test_a_round_trip(self):
        self.assertEqual(transfer.round_trip(torch, CPU, source(), pinned=False, size=1003), 1003)

    def test_one_bit_is_seen(self):
        data = torch.arange(251, dtype=torch.uint8)
        transfer.compare(torch, data, data.clone(), data ^ transfer.MASK)
        for same, changed, text in (
            (data ^ (torch.arange(251) == 7).to(torch.uint8), data ^ transfer.MASK, "1 of 251 bytes .* came back"),
            (data, data, "251 of 251 bytes .* changed on the device"),
        ):
            with self.assertRaisesRegex(Failed, text):
                transfer.compare(torch, data, same, changed)


class Loading(unittest.TestCase):
    def rows(self, seed=3, count=4):
        found = []
        for index in range(count):
            row = loading.expected(seed, index, 64)
            row[-1] = 1000 + index % 2
            found.append(row.reshape(1, -1).share_memory_())
        return found

    def judge(self, rows):
        return loading.judge(rows, 3, 64, 4, os.getpid())

    def test_what_workers_made_is_judged(self):
        self.assertEqual(self.judge(self.rows()), [1000, 1001])
        wrong = self.rows()
        wrong[2][0, 5] += 1
        own = self.rows()
        own[1][0, -1] = os.getpid()
        for rows, text in (
            (self.rows(seed=4), "batch 0 is not"),
            (wrong, "batch 2 is not"),
            (own, "main process"),
            (self.rows(count=3), "3 of 4"),
            ([row.clone() for row in self.rows()], "shared memory"),
        ):
            with self.assertRaisesRegex(Failed, text):
                self.judge(rows)


class Run(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.channel = types.SimpleNamespace(send=lambda **message: self.sent.append(message))
        self.sent = []
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        self.run_ = child.Run(request(), Path(directory.name), self.channel)

    def test_a_model_on_a_device_is_near_its_fp64_self(self):
        found = child.outcome(models.CHECKS["timm.cpu"], self.run_)
        self.assertEqual(found["status"], "passed", found["error"])
        self.assertIn({"versions": {"timm": found["evidence"].split()[1].rstrip(",")}}, self.sent)

    def test_a_model_with_other_weights_is_not(self):
        _, _, model, reference = models.model_pair(self.run_)
        images = tensors.normal(torch, (2, 3, models.SIDE, models.SIDE), source(), torch.float32)
        models.forward(torch, CPU, model, reference, images)
        with torch.no_grad():
            model.get_classifier().weight[3, 5] += 0.5
        with self.assertRaises(Failed):
            models.forward(torch, CPU, model, reference, images)

    def test_einops_that_puts_elements_elsewhere_is_seen(self):
        import einops

        self.assertEqual(child.outcome(models.check_einops, self.run_)["status"], "passed")
        real = einops.rearrange
        self.addCleanup(setattr, einops, "rearrange", real)
        einops.rearrange = lambda tensor, pattern, **sizes: real(tensor, pattern.replace("(p q c)", "(q p c)"), **sizes)
        self.assertIn("elsewhere", child.outcome(models.check_einops, self.run_)["error"])

    def test_torchs_own_kernels_are_compared(self):
        self.assertEqual(len(aten.compute(torch, CPU, source())), 2)
        self.addCleanup(setattr, aten, "on", aten.on)
        for text, wrong in (
            ("sum of whole numbers", lambda tensor, _: tensor + 1 if tensor.dtype == torch.int64 else tensor),
            ("elementwise on cpu differs", lambda tensor, _: tensor * 1.001 if tensor.is_floating_point() else tensor),
        ):
            aten.on = wrong
            with self.assertRaisesRegex(Failed, text):
                aten.compute(torch, CPU, source())

    def all_reduce(self, reduced):
        for name, other in (("visible", lambda: 2), ("reduced", reduced)):
            self.addCleanup(setattr, nccl, name, getattr(nccl, name))
            setattr(nccl, name, other)
        return child.outcome(nccl.check_all_reduce, self.run_)

    def test_ranks_add_up(self):
        real = nccl.reduced
        found = self.all_reduce(lambda *place: real(*place, backend="gloo"))
        self.assertEqual((found["status"], found["error"]), ("passed", None))

    def test_a_rank_that_fails_is_not_waited_out(self):
        def reduced(rank, *_):
            if rank:
                raise RuntimeError("NCCL error: unhandled system error")
            time.sleep(6000)

        found = self.all_reduce(reduced)
        self.assertEqual(found["error"], "rank 1: RuntimeError: NCCL error: unhandled system error")

    def test_a_rank_with_a_wrong_sum_is_seen(self):
        real, term = nccl.reduced, nccl.term
        self.addCleanup(setattr, nccl, "term", term)
        nccl.term = lambda torch, rank, device=None: term(torch, rank, device) + (device is not None)
        self.assertIn("has a wrong sum", self.all_reduce(lambda *place: real(*place, backend="gloo"))["error"])

    def test_without_the_variable_the_proof_is_none(self):
        kept = os.environ.pop("CUDA_DISABLE_PTX_JIT", None)
        self.assertIsNone(kept)
        self.assertIn("does not forbid", child.outcome(aten.check_native, self.run_)["error"])

    def test_another_torch_fails_in_its_own_check(self):
        self.assertEqual(child.outcome(torch_server.check_version, self.run_)["status"], "passed")
        self.run_.request = request(torch="2.6.0a0+ecf3bae40a.nv25.01")
        found = child.outcome(torch_server.check_version, self.run_)
        self.assertEqual(
            found["error"], f"torch is `{torch.__version__}`, and the image was built with `2.6.0a0+ecf3bae40a.nv25.01`"
        )

    def test_no_check_of_a_device_passes_without_one(self):
        self.assertFalse(torch.cuda.is_available())
        names = [
            check.id
            for group in plan.GROUPS
            if group.name in ("gpu", "aten", "models")
            for check in group.checks
            if check.needs_gpu
        ]
        for name in names:
            functions = {**child.functions_of("gpu"), **child.functions_of("aten"), **child.functions_of("models")}
            self.assertNotEqual(child.outcome(functions[name], self.run_)["status"], "passed", name)


if __name__ == "__main__":
    unittest.main()
