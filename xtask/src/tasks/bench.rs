//! stub
use crate::{cli::Flags, context::Context};
/// stub
pub fn run(_: &Context, _: &Flags, _: &[String], _: usize) -> anyhow::Result<u8> {
    Ok(0)
}
