//! What debuggers and interactive interpreters obey where they are started.

use super::{Tool, tool};
use crate::obeyed::Class::{ByItself, WhenRun};
use crate::obeyed::Name::{Below, File, Like};
use crate::obeyed::Noted::{Read, Remembered};

pub(super) const TOOLS: &[Tool] = &[
    tool(
        ByItself,
        "GDB",
        "https://sourceware.org/gdb/current/onlinedocs/gdb.html/Init-File-in-the-Current-Directory.html",
        Read("2026-11-29"),
        &[File(".gdbinit"), Like("*-gdb.py"), Like("*-gdb.gdb"), Like("*-gdb.scm")],
    ),
    tool(ByItself, "LLDB", "https://lldb.llvm.org/man/lldb.html", Remembered("2026-11-28"), &[File(".lldbinit")]),
    tool(
        ByItself,
        "R",
        "https://stat.ethz.ch/R-manual/R-devel/library/base/html/Startup.html",
        Read("2026-11-29"),
        &[File(".Rprofile"), File(".Renviron"), File(".RData")],
    ),
    tool(
        ByItself,
        "GHCi",
        "https://downloads.haskell.org/ghc/latest/docs/users_guide/ghci.html",
        Remembered("2026-11-28"),
        &[File(".ghci")],
    ),
    tool(ByItself, "OCaml", "https://ocaml.org/manual/toplevel.html", Read("2026-11-29"), &[File(".ocamlinit")]),
    tool(
        ByItself,
        "IRB and Pry",
        "https://docs.ruby-lang.org/en/master/IRB.html",
        Read("2026-11-29"),
        &[
            File(".irbrc"),
            File(".pryrc"),
            File("irbrc"),
            File("_irbrc"),
            File("$irbrc"),
            File(".rdbgrc"),
            File(".rdbgrc.rb"),
            File(".byebugrc"),
        ],
    ),
    tool(ByItself, "IEx", "https://hexdocs.pm/iex/IEx.html", Read("2026-11-29"), &[File(".iex.exs")]),
    tool(
        ByItself,
        "GNU Octave",
        "https://docs.octave.org/latest/Startup-Files.html",
        Read("2026-11-29"),
        &[File(".octaverc")],
    ),
    tool(
        ByItself,
        "MATLAB",
        "https://www.mathworks.com/help/matlab/ref/startup.html",
        Remembered("2026-11-28"),
        &[File("startup.m")],
    ),
    tool(
        ByItself,
        "the debugger of Perl",
        "https://perldoc.perl.org/perldebug",
        Read("2026-11-29"),
        &[File(".perldb")],
    ),
    tool(WhenRun, "pdb", "https://docs.python.org/3/library/pdb.html", Remembered("2026-11-28"), &[File(".pdbrc")]),
    tool(
        WhenRun,
        "Jupyter",
        "https://jupyter-server.readthedocs.io/en/latest/users/configuration.html",
        Remembered("2026-11-29"),
        &[
            File("jupyter_config.py"),
            File("jupyter_config.json"),
            Below(".jupyter"),
            Like("jupyter_*_config.py"),
            Like("jupyter_*_config.json"),
            File("kernel.json"),
        ],
    ),
    tool(
        WhenRun,
        "IPython",
        "https://ipython.readthedocs.io/en/stable/config/intro.html",
        Remembered("2026-11-29"),
        &[Below(".ipython"), File("ipython_config.py"), Below("profile_default")],
    ),
];
