"""The probe is one file that several parts share: no part may take a name that another one has."""

import ast
import collections
import pathlib
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


if __name__ == "__main__":
    unittest.main()
