//! `cargo xtask`: the binary. Everything is in the library, so that tests can reach it.
use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::main()
}
