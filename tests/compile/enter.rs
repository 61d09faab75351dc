//! The twin on `Proven` compiles: the one error is that an `Unproven` sandbox has no `enter`.

use xtask::life::{Proven, Unproven};

fn proven(sandbox: Proven<'_>) -> bool {
    sandbox.enter(true, &[]).is_ok()
}

fn unproven(sandbox: Unproven<'_>) -> bool {
    sandbox.enter(true, &[]).is_ok()
}

fn main() {
    let _ = (proven, unproven);
}
