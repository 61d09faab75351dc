"""The probe is one file that several parts share: no part may take a name that another one has. What it starts is started
only where that cannot look into it."""

import ast
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROBE = pathlib.Path(__file__).parents[2] / "docker" / "probe.py"


def names(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        targets = [name for target in node.targets for name in ast.walk(target)]
        return [name.id for name in targets if isinstance(name, ast.Name)]
    return []


class Names(unittest.TestCase):
    def test_each_name_is_given_once(self):
        body = ast.parse(PROBE.read_text()).body
        given = collections.Counter(name for node in body for name in names(node))
        self.assertGreater(len(given), 30)
        self.assertEqual([name for name, times in given.items() if times > 1], [])


# Runs the probe, and without the means to make its memory unreadable where `hidden` is not the first argument.
RUN = """
import sys
path, hidden = sys.argv[1:3]
if hidden != "hidden":
    sys.modules["_ctypes"] = None
sys.argv = [path] + sys.argv[3:]
exec(compile(open(path).read(), path, "exec"))
"""


class Children(unittest.TestCase):
    def report(self, hidden):
        with tempfile.TemporaryDirectory() as place:
            started = pathlib.Path(place) / "started"
            program = pathlib.Path(place) / "program"
            program.write_text("#!/bin/sh\necho >>%s\n" % started)
            program.chmod(0o755)
            asked = ["nonce", "n", "smi", str(program), "codex-version", str(program)]
            said = subprocess.run(
                [sys.executable, "-S", "-c", RUN, str(PROBE), hidden, *asked], capture_output=True, check=True, timeout=60
            )
            times = len(started.read_text()) if started.exists() else 0
            return json.loads(said.stdout), times

    def test_they_are_started_where_they_cannot_look_into_the_probe(self):
        report, times = self.report("hidden")
        self.assertEqual((report["dumpable"], times), (0, 2))
        self.assertEqual((report["smi"]["code"], report["codex"]["version"]["code"]), ("0", "0"))

    def test_they_are_not_started_where_they_can(self):
        report, times = self.report("open")
        self.assertEqual((report["dumpable"], times), (None, 0))
        self.assertEqual((report["smi"], report["codex"]["version"]), (None, None))


if __name__ == "__main__":
    unittest.main()
