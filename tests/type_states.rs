//! The type states of a sandbox, held by the compiler: entering Codex takes a `Proven`.

#[test]
fn only_a_proven_sandbox_can_be_entered() {
    trybuild::TestCases::new().compile_fail("../tests/compile/enter.rs");
}
