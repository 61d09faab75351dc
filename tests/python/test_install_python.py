"""Unit tests of the pure functions of docker/install_python.py."""

import unittest

import install_python as it

HASH = "    --hash=sha256:" + "0" * 64
LOCK = f"""# Made by a tool.

# [always]
decord==0.6.0 ; platform_machine == "x86_64" \\
{HASH}
Einops==0.8.2 \\
{HASH} \\
{HASH}

# [if-missing]
hf_xet==1.0 \\
{HASH}
"""


class Lock(unittest.TestCase):
    def test_pins_are_read_with_their_section_and_all_their_lines(self):
        pins = it.parse_lock(LOCK)
        read = [(pin.name, pin.section, pin.text.count("--hash")) for pin in pins]
        self.assertEqual(read, [("decord", "always", 1), ("einops", "always", 2), ("hf-xet", "if-missing", 1)])
        self.assertIn('platform_machine == "x86_64"', pins[0].text)

    def test_what_is_not_safe_to_install_is_an_error_with_its_line(self):
        for text, message in (
            (f"a==1 \\\n{HASH}\n", "`a` stands before any section"),
            ("# [always]\na==1\n", "line 2: `a` has no hash"),
            (f"# [always]\na>=1 \\\n{HASH}\n", "not of the form"),
            ("# [sometimes]\n", "unknown section `sometimes`"),
        ):
            with self.subTest(text), self.assertRaisesRegex(ValueError, message):
                it.parse_lock(text)

    def test_only_what_the_base_lacks_is_added(self):
        pins = it.parse_lock(LOCK)
        names = lambda installed: [pin.name for pin in it.choose(pins, installed)]
        self.assertEqual(names(set()), ["decord", "einops", "hf-xet"])
        # `always` is installed as pinned, whatever the base has.
        self.assertEqual(names({"hf-xet", "einops"}), ["decord", "einops"])


class Constraints(unittest.TestCase):
    def test_only_those_on_our_own_packages_are_dropped(self):
        text = "torch==2.6.0a0+nv25.1\n# a comment\nHF_xet==0.9 # old\n  einops>=0.7\neinops-extra==1\n\n"
        kept, dropped = it.without(text, {"hf-xet", "einops"})
        self.assertEqual(dropped, ["HF_xet==0.9 # old", "einops>=0.7"])
        self.assertEqual(kept, "torch==2.6.0a0+nv25.1\n# a comment\neinops-extra==1\n\n")

    def test_names_compare_as_indexes_do(self):
        self.assertEqual(it.normalize("Hf_.xet"), "hf-xet")


if __name__ == "__main__":
    unittest.main()
