"""What an agent lays in a session for the host to walk into: when the session is left, when the host looks at the commits,
when it runs git in the project, when the sandbox is entered again. The host judges each of them (`leave.rs`).

The first argument is a directory of the host with a setuid program and a secret, the second a file of the host: where it
is there afterwards, a program of the agent's ran on the host. Neither path exists in here.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

OUTSIDE, RAN, WORD = sys.argv[1:4]
EVIL = "#!/bin/sh\ntouch '%s'\n" % RAN
TRAPS = []


def trap(ident):
    def register(function):
        TRAPS.append((ident, function))
        return function

    return register


def written(path, text, mode=0o755):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def setuid(path):
    shutil.copy("/bin/true", path)
    os.chmod(path, 0o6755)


def git(*words, text=None):
    return subprocess.run(["git", *words], input=text, check=True, capture_output=True).stdout.decode().strip()


@trap("leave.setuid.file")
def _():
    setuid("suid")


@trap("leave.setuid.deep")
def _():
    top = os.getcwd()
    os.mkdir("deep")
    os.chdir("deep")
    for _ in range(400):
        os.mkdir("d")
        os.chdir("d")
    setuid("suid")
    os.chdir(top)


@trap("leave.setuid.closed-directory")
def _():
    os.mkdir("closed")
    setuid("closed/suid")
    os.chmod("closed", 0)


@trap("leave.setuid.of-a-user")
def _():
    # Others can enter and start it, and its owner can neither list the directory nor read the file.
    os.mkdir("odd")
    setuid("odd/suid")
    os.chmod("odd/suid", 0o6011)
    os.chmod("odd", 0o005)
    os.mkdir("listed")
    setuid("listed/suid")
    os.chmod("listed", 0o405)


@trap("leave.setuid.group")
def _():
    setuid("sgid")
    os.chmod("sgid", 0o2711)


@trap("leave.setuid.long-path")
def _():
    top = os.getcwd()
    os.mkdir("long")
    os.chdir("long")
    for _ in range(30):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    setuid("suid")
    os.chdir(top)


@trap("leave.setuid.name")
def _():
    setuid("\x1b]0;owned\x07suid\n\x1b[2J")


@trap("leave.setuid.through-a-link")
def _():
    os.symlink(OUTSIDE, "linked")


@trap("leave.host-run.directory-link")
def _():
    os.symlink(OUTSIDE, ".vscode")


@trap("leave.host-run.file-link")
def _():
    os.symlink(OUTSIDE + "/secret", ".envrc")


@trap("leave.host-run.fifo")
def _():
    os.mkfifo("Makefile")


@trap("leave.host-run.socket")
def _():
    socket.socket(socket.AF_UNIX).bind("setup.py")


@trap("leave.host-run.huge")
def _():
    written("package.json", "")
    os.truncate("package.json", 1 << 40)


@trap("leave.host-run.circle")
def _():
    os.symlink("conftest.py", "conftest.py")


@trap("leave.host-run.names")
def _():
    written(".husky/\x1b]0;owned\x07\n\x1b[2J", EVIL)


@trap("leave.git.hooks")
def _():
    names = "post-checkout post-commit post-merge pre-commit reference-transaction post-index-change pre-auto-gc \
post-rewrite pre-push update fsmonitor-watchman"
    for name in names.split():
        written(".git/hooks/" + name, EVIL)


@trap("leave.git.message")
def _():
    written("said", "x")
    git("-c", "core.hooksPath=/none", "add", "said")
    author = "Eve \x1b]0;owned\x07 <eve@example.com>"
    message = "inside \x1b[2J\x1b]52;c;ZXZpbA==\x07"
    git("-c", "core.hooksPath=/none", "commit", "--quiet", "--author", author, "--message", message)


@trap("leave.git.tree")
def _():
    blob = git("hash-object", "-w", "--stdin", text=EVIL.encode())
    hooks = ("100755 post-checkout\0".encode() + bytes.fromhex(blob),)
    tree = git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", text=b"".join(hooks))
    for name in (b"hooks", b".git"):
        entry = b"40000 " + name + b"\0" + bytes.fromhex(tree)
        tree = git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", text=entry)
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", "a tree with a git directory in it")
    written(".git/refs/heads/evil-tree", commit + "\n", 0o644)


@trap("leave.git.tree-above")
def _():
    blob = git("hash-object", "-w", "--stdin", text=EVIL.encode())
    entry = b"100755 ../../ran\0" + bytes.fromhex(blob)
    tree = git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", text=entry)
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", "a file above the project")
    written(".git/refs/heads/evil-above", commit + "\n", 0o644)


@trap("leave.git.tree-link")
def _():
    target = git("hash-object", "-w", "--stdin", text=OUTSIDE.encode())
    tree = git("mktree", text=("120000 blob %s\tthrough\n" % target).encode())
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", "a link out of the project")
    written(".git/refs/heads/evil-link", commit + "\n", 0o644)


@trap("leave.git.branch-names")
def _():
    commit = git("rev-parse", "HEAD")
    for name in ("\x1b[2Jred", "--upload-pack=touch " + RAN.replace("/", "_"), "-x", "a b", "a\nb", "main.lock"):
        written(".git/refs/heads/" + name, commit + "\n", 0o644)


@trap("leave.git.config")
def _():
    keys = "core.fsmonitor core.pager core.editor core.sshCommand core.askPass core.alternateRefsCommand diff.external \
pager.status gpg.program credential.helper uploadpack.packObjectsHook sequence.editor interactive.diffFilter"
    with open(".git/config", "a") as config:
        for key in keys.split():
            section, name = key.split(".")
            config.write('[%s]\n\t%s = "touch %s; true"\n' % (section, name, RAN))
        for kind in ("filter", "diff", "merge"):
            config.write('[%s "evil"]\n' % kind)
            for name in ("clean", "smudge", "process", "command", "textconv", "driver"):
                config.write('\t%s = "touch %s; cat"\n' % (name, RAN))
        config.write("[core]\n\thooksPath = /workspace/.husky\n\tworktree = %s\n" % OUTSIDE)
        config.write("[include]\n\tpath = %s/secret\n" % OUTSIDE)


@trap("leave.git.attributes")
def _():
    written(".gitattributes", "* filter=evil diff=evil merge=evil\n", 0o644)


@trap("leave.git.modules")
def _():
    text = '[submodule "m"]\n\tpath = m\n\turl = ext::sh -c touch%% %s\n\tupdate = !touch %s\n' % (RAN, RAN)
    written(".gitmodules", text, 0o644)


@trap("leave.git.alternates")
def _():
    written(".git/objects/info/alternates", OUTSIDE + "\n", 0o644)


@trap("leave.git.links")
def _():
    for name in ("FETCH_HEAD", "MERGE_HEAD", "description", "COMMIT_EDITMSG"):
        if os.path.lexists(".git/" + name):
            os.unlink(".git/" + name)
        os.symlink(OUTSIDE + "/secret", ".git/" + name)


def background(function):
    """Runs it in a process that outlives the session."""
    if os.fork() == 0:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if os.fork() == 0:
            function()
        os._exit(0)
    os.wait()


@trap("leave.process.outlives-the-session")
def _():
    background(lambda: os.execvp("bash", ["bash", "-c", 'trap "" TERM HUP INT; exec -a "$0" sleep 900', WORD]))


@trap("race.exchange")
def _():
    import ctypes

    libc = ctypes.CDLL(None)
    os.mkdir("turn")
    written("turn/su", EVIL)
    os.symlink(OUTSIDE, "turned")
    os.mkdir(".idea")
    os.symlink(OUTSIDE, "idea")
    written("build.rs", "fn main() {}\n", 0o644)
    os.symlink(OUTSIDE + "/secret", "rs")
    pairs = [(b"turn", b"turned"), (b".idea", b"idea"), (b"build.rs", b"rs")]

    def turn():
        count, end = 0, time.monotonic() + 120
        while time.monotonic() < end and not os.path.exists("stop"):
            for _ in range(500):
                for one, other in pairs:
                    libc.renameat2(-100, one, -100, other, 2)
                    count += 1
            with open("races.new", "w") as file:
                file.write(str(count))
            os.rename("races.new", "races")

    background(turn)


for ident, function in TRAPS:
    function()
    print("laid", ident, flush=True)
