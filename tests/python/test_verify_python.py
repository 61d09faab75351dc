"""Unit tests of the pure functions of docker/verify_python.py."""

import json
import unittest

import verify_python as vp

GOOD = {
    "torch": "2.6.0a0+ecf3bae40a.nv25.01",
    "cuda": "12.8",
    "torch_file": "/usr/lib/torch/__init__.py",
    "import_errors": {},
    "decord_owners": ["decord"],
    "ffmpeg": "/usr/bin/ffmpeg",
    "conflicts": ["a 1 requires b"],
}


def faults(before=None, **after):
    return [fault.what for fault in vp.judge(GOOD | (before or {}), GOOD | after)]


class Judge(unittest.TestCase):
    def test_an_image_with_the_base_s_own_torch_is_good(self):
        self.assertEqual(faults(), [])

    def test_a_base_without_a_torch_that_serves_is_refused(self):
        for torch, message in ((None, "no PyTorch"), ("2.4.1", "older than 2.5"), ("x", "cannot read the version")):
            with self.subTest(torch):
                self.assertIn(message, vp.judge_base(torch)[0].what)
        self.assertEqual(vp.judge_base("2.10.0"), [], "2.10 is later than 2.5")

    def test_a_torch_that_was_replaced_is_a_fault(self):
        for key in ("torch", "cuda", "torch_file"):
            with self.subTest(key):
                self.assertIn("replaced the base's own PyTorch", faults(**{key: "other"})[0])

    def test_each_other_damage_is_a_fault_of_its_own(self):
        for after, message in (
            ({"import_errors": {"decord": "ImportError: x"}}, "cannot import `decord`: ImportError: x"),
            ({"decord_owners": ["decord", "decord2"]}, "`decord` and `decord2`"),
            ({"ffmpeg": None}, "`ffmpeg` is not on PATH"),
            ({"conflicts": ["a 1 requires b", "c 2 requires d"]}, "did not have: c 2 requires d"),
        ):
            with self.subTest(message):
                found = faults(**after)
                self.assertEqual(len(found), 1, found)
                self.assertIn(message, found[0])

    def test_all_faults_are_told_at_once_and_a_broken_torch_once(self):
        found = faults(torch=None, import_errors={"torch": "OSError: x"}, ffmpeg=None)
        self.assertEqual(len(found), 2, found)

    def test_a_conflict_that_is_known_or_the_base_s_is_none(self):
        self.assertEqual(faults(conflicts=[*GOOD["conflicts"], *vp.KNOWN_CONFLICTS]), [])


class Parse(unittest.TestCase):
    def test_what_pip_check_says(self):
        self.assertEqual(vp.parse_pip_check(0, "No broken requirements found.\n", ""), [])
        self.assertEqual(vp.parse_pip_check(1, "a 1 requires b\n\n", ""), ["a 1 requires b"])
        for status, stdout in ((1, ""), (2, "usage\n")):
            with self.subTest(status), self.assertRaises(RuntimeError):
                vp.parse_pip_check(status, stdout, "boom")

    def test_an_import_that_kills_the_interpreter_has_a_reason(self):
        events = [["trying", "a"], ["imported", "a", {"version": "1"}], ["trying", "b"]]
        stdout = "a banner\n" + "".join(json.dumps(event) + "\n" for event in events)
        facts, errors = vp.parse_imports(stdout, -11)
        self.assertEqual(facts, {"a": {"version": "1"}})
        self.assertEqual(errors, {"b": "the interpreter died with status -11"})

    def test_versions_of_nvidia_are_read(self):
        self.assertEqual(vp.torch_release("2.6.0a0+ecf3bae40a.nv25.01"), (2, 6))
        self.assertIsNone(vp.torch_release("unknown"))


if __name__ == "__main__":
    unittest.main()
