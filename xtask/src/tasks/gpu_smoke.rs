//! `cargo xtask gpu-smoke`: prove that the GPU runs the image, in a container of its own or in the running sandbox.

use crate::context::Context;
use crate::gpu_smoke::{Wish, here, one_shot};
use crate::spec::settings;
use anyhow::Result;

/// Exit code 0 only where every required check passed, on a GPU.
pub(crate) fn run(cx: &Context, wish: &Wish) -> Result<u8> {
    let settings = settings::load(cx, &wish.project.clone().into())?;
    wish.answers(cx)?;
    if wish.here { here::run(cx, &settings, wish) } else { one_shot::run(cx, &settings, wish) }
}
