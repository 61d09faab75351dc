"""Children that hang, die, lie or leave others behind: each costs its own check and no more. Real processes."""

import os
import signal
import sys
import tempfile
import time
import types
import unittest
from pathlib import Path

from smoke import child, plan, supervise, torch_server
from smoke.plan import Check, Group
from test_smoke_plan import request

LONG = 6000  # the runner of the tests ends one that waits so long


def passes(_):
    return "it works", {"answer": 42}


def raises(_):
    raise ValueError("no such luck")


def raises_from(_):
    try:
        raises(_)
    except ValueError as err:
        raise RuntimeError("it failed") from err


def hangs(_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(LONG)


def dies(_):
    print("the last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGBUS)
    time.sleep(LONG)


def leaves(_):
    os._exit(3)


def cuts_its_pipe(run):
    os.close(run.channel.fd)
    time.sleep(LONG)


def is_cut_in_a_line(run):
    os.write(run.channel.fd, b'{"check": "one", "status": "pas')
    os._exit(0)


def babbles(run):
    os.write(run.channel.fd, b"this is no result\n")
    time.sleep(LONG)


def prints(_):
    print("on standard output", flush=True)
    os.write(1, b"and below it\n")
    return passes(_)


def claims_another(run):
    run.channel.send(check="of.another", status="passed", seconds=0.0, evidence="", error=None, values={})
    return passes(run)


def answers_twice(run):
    run.channel.send(check="one", status="failed", seconds=0.0, evidence="", error="the first", values={})
    return passes(run)


def leaves_one_behind(run):
    pid = os.fork()
    if not pid:
        time.sleep(LONG)
    (run.tmp / "behind").write_text(str(pid))
    return passes(run)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Supervision(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.tmp = Path(directory.name)
        self.said = []
        kept = child.functions_of
        self.addCleanup(setattr, child, "functions_of", kept)

    def run_groups(self, *groups, seconds=600.0, bound=LONG, needs=()):
        """Each group is (name, after torch, {check: function})."""
        functions = {name: checks for name, _, checks in groups}
        child.functions_of = functions.__getitem__
        made = tuple(
            Group(
                name, tuple(Check(check, False, bound, needs if at else ()) for at, check in enumerate(checks)), after
            )
            for name, after, checks in groups
        )
        begin = time.monotonic()
        self.supervisor = supervise.Supervisor(request(seconds=seconds), made, self.tmp, begin, self.said.append)
        results = self.supervisor.run()
        self.assertEqual(sorted(results), sorted(check for _, _, checks in groups for check in checks))
        return results

    def one(self, function, **options):
        return self.run_groups(("group", False, {"one": function}), **options)["one"]

    def test_results_arrive_with_their_values(self):
        found = self.one(passes)
        self.assertEqual((found["status"], found["evidence"], found["values"]), ("passed", "it works", {"answer": 42}))
        self.assertIsNone(found["error"])

    def test_an_error_is_a_result_and_the_group_goes_on(self):
        found = self.run_groups(("group", False, {"one": raises, "two": passes}))
        self.assertEqual(found["one"]["error"], "ValueError: no such luck")
        self.assertEqual(found["two"]["status"], "passed")

    def test_an_error_has_its_cause(self):
        self.assertEqual(self.one(raises_from)["error"], "RuntimeError: it failed\ncaused by ValueError: no such luck")

    def test_a_hang_costs_its_bound_and_is_named(self):
        found = self.run_groups(
            ("group", False, {"before": passes, "one": hangs, "after": passes}),
            ("other", False, {"elsewhere": passes}),
            bound=3,
        )
        self.assertEqual(found["one"]["error"], "timed out after 3 s")
        self.assertEqual((found["before"]["status"], found["elsewhere"]["status"]), ("passed", "passed"))
        self.assertEqual(found["after"]["status"], "not-run")
        self.assertIn("`one`", found["after"]["error"])

    def test_the_whole_run_is_bounded(self):
        found = self.with_torch(hangs, late=passes, bound=LONG, seconds=0.5)
        self.assertIn("the whole run is bound to 0.5 s", found["versions.torch"]["error"])
        self.assertEqual(found["late"]["status"], "not-run")

    def test_a_killed_child_is_named_with_its_signal_and_last_words(self):
        found = self.one(dies)
        self.assertEqual(found["status"], "failed")
        self.assertEqual(found["error"], "the child was killed by signal 7 (SIGBUS): the last words")

    def test_an_early_end_is_no_pass(self):
        self.assertEqual(self.one(leaves)["error"], "the child ended with status 3")

    def test_a_cut_pipe_is_no_pass(self):
        self.assertEqual(self.one(cuts_its_pipe, bound=0.5)["error"], "timed out after 0.5 s")
        self.assertEqual(self.one(is_cut_in_a_line)["status"], "failed")

    def test_what_is_no_result_ends_the_child(self):
        self.assertEqual(self.one(babbles)["error"], "the child wrote something that is no result")

    def test_a_child_cannot_answer_for_another(self):
        found = self.run_groups(("other", False, {"of.another": raises}), ("group", False, {"one": claims_another}))
        self.assertEqual(found["of.another"]["status"], "failed")

    def test_the_first_answer_counts(self):
        self.assertEqual(self.one(answers_twice)["error"], "the first")

    def test_a_child_that_ended_before_its_number_was_known_is_no_riddle(self):
        group = Group("late", (Check("one", False),), after_torch=True)
        supervisor = supervise.Supervisor(request(), (group,), self.tmp, time.monotonic(), self.said.append)
        pid = os.fork()
        if not pid:
            os._exit(3)
        while pid not in supervisor.orphans:
            supervisor.reap()
        supervisor.forked("late", pid)
        self.assertEqual(supervisor.running[0].results["one"]["error"], "the child ended with status 3")

    def test_what_a_child_prints_is_no_report(self):
        self.assertEqual(self.one(prints)["status"], "passed")

    def test_nothing_is_left_behind(self):
        self.one(leaves_one_behind)
        pid = int((self.tmp / "behind").read_text())
        deadline = time.monotonic() + 120
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(alive(pid))

    def test_a_check_whose_need_failed_is_not_run(self):
        found = self.run_groups(("group", False, {"one": raises, "two": passes}), needs=("one",))
        self.assertEqual(found["two"]["error"], "needs `one`, which did not pass")

    def with_torch(self, check, bound=5, seconds=600.0, **functions):
        """The group that imports torch, with another check in place of the import."""
        kept = torch_server.CHECKS
        torch_server.CHECKS = {"versions.torch": check}
        self.addCleanup(setattr, torch_server, "CHECKS", kept)
        groups = [(name.replace("_", "-"), True, {name: function}) for name, function in functions.items()]
        return self.run_groups(("torch", False, {"versions.torch": check}), *groups, bound=bound, seconds=seconds)

    def imports(self, _):
        sys.modules["torch"] = types.ModuleType("torch")
        return passes(_)

    def test_groups_after_torch_share_its_import_and_are_bounded_alike(self):
        def has_torch(_):
            return str("torch" in sys.modules) + str(os.environ.get("CUDA_DISABLE_PTX_JIT")), {"parent": os.getppid()}

        found = self.with_torch(self.imports, gpu=has_torch, aten=has_torch, stuck=hangs, dead=dies)
        self.assertEqual((found["gpu"]["evidence"], found["aten"]["evidence"]), ("TrueNone", "True1"))
        # They are the supervisor's own children by then: it alone can wait for them.
        self.assertEqual(found["gpu"]["values"], {"parent": os.getpid()})
        self.assertEqual(found["stuck"]["error"], "timed out after 5 s")
        self.assertIn("SIGBUS", found["dead"]["error"])
        self.assertNotIn("torch", sys.modules)

    def test_the_check_of_torch_leaves_its_forks_able_to_use_cuda(self):
        """As torch with CUDA does it: to ask for its targets marks the process, and a fork of it is refused."""
        torch, marked = types.ModuleType("torch"), []
        torch.__version__, torch.__file__, torch.version = "2.6.0", "torch.py", types.SimpleNamespace(cuda="12.8")
        torch.tensor = lambda _: types.SimpleNamespace(prod=lambda: types.SimpleNamespace(item=lambda: 12))
        torch._C = types.SimpleNamespace(_cuda_getArchFlags=lambda: marked.append(1) or "sm_90 sm_120")
        sys.modules["torch"] = torch
        self.addCleanup(sys.modules.pop, "torch")

        def uses_cuda(_):
            if marked:
                raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")
            return torch_server.arch_list(torch)[1], {}

        found = self.with_torch(torch_server.check_version, gpu=uses_cuda)
        self.assertEqual(found["versions.torch"]["values"]["arch_list"], ["sm_90", "sm_120"])
        self.assertEqual((found["gpu"]["error"], found["gpu"]["evidence"]), (None, "sm_120"))

    def test_what_is_asked_aside_is_told_or_its_error_is(self):
        mine = []
        self.assertEqual(child.aside(lambda: mine.append(1) or ["an", "answer"]), ["an", "answer"])
        self.assertEqual(mine, [])
        for function, text in (
            (lambda: raises(None), "ValueError: no such luck"),
            (lambda: os._exit(3), "ended without an answer"),
        ):
            with self.assertRaisesRegex(child.Failed, text):
                child.aside(function)

    def test_a_group_that_ends_at_once_is_not_missed(self):
        for _ in range(5):
            found = self.with_torch(self.imports, gone=leaves)
            self.assertEqual(found["gone"]["error"], "the child ended with status 3")

    def test_without_torch_the_others_say_so(self):
        found = self.with_torch(raises, gpu=passes)
        self.assertEqual(found["versions.torch"]["error"], "ValueError: no such luck")
        self.assertEqual(found["gpu"]["status"], "not-run")
        self.assertEqual(found["gpu"]["error"], "needs `versions.torch`: ValueError: no such luck")

    def test_an_import_that_kills_its_process_is_named(self):
        found = self.with_torch(dies, gpu=passes)
        self.assertIn("SIGBUS", found["versions.torch"]["error"])
        self.assertIn("needs `versions.torch`", found["gpu"]["error"])


class Entry(unittest.TestCase):
    """The script itself, in a process of its own."""

    def outcome(self, **changed):
        import json
        import subprocess

        from test_smoke_plan import ASKED

        script = Path(plan.__file__).parent.parent / "gpu_smoke.py"
        asked = json.dumps(ASKED | changed)
        done = subprocess.run([sys.executable, "-B", str(script), asked], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_the_native_mode_ends_with_a_whole_report_where_there_is_no_driver(self):
        import ctypes
        import json

        code, out, _ = self.outcome(mode="native")
        self.assertEqual(code, 0)
        lines = out.splitlines()
        self.assertEqual(len(lines), 3)
        found = json.loads(lines[1])
        self.assertEqual(
            [check["id"] for check in found["checks"]], ["driver.present", "devices.served", "native.code"]
        )
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError as err:
            self.assertEqual(found["checks"][0]["error"], f"OSError: {err}")
            self.assertEqual({check["status"] for check in found["checks"][1:]}, {"not-run"})
        else:
            self.assertNotEqual(found["devices"], [])

    def test_a_request_that_cannot_be_read_gives_no_report(self):
        code, out, err = self.outcome(nonce="short")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("`nonce` must be 24 hex digits", err)


if __name__ == "__main__":
    unittest.main()
