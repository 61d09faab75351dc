//! `cargo xtask gpu-smoke`: prove that the GPU runs the image, in a container of its own or in the running sandbox.

use crate::context::Context;
use crate::gpu_smoke::{Wish, here, one_shot};
use crate::smoke::Extent;
use crate::spec::settings::{self, Flags, ProjectFlags};
use anyhow::Result;
use std::path::PathBuf;

/// Prove that the GPU runs this image: native kernels, decoding, a report
#[derive(clap::Args, Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    #[command(flatten)]
    project: ProjectFlags,
    /// An image of your own in place of the sandbox's
    #[arg(long, value_name = "REF", conflicts_with = "base")]
    image: Option<String>,
    /// The compute capability that code must be native for, such as 12.0
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The bound on the run [default: 300, with --full 1800]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=86400))]
    timeout: Option<u64>,
    /// Also what takes minutes: torch.compile, an extension, NVDEC
    #[arg(long)]
    full: bool,
    /// In the running sandbox of this workspace, by the path that Codex uses
    #[arg(long, conflicts_with_all = ["image", "base", "cpu", "gpus", "datasets"])]
    here: bool,
    /// Print the settings and every step, run none
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    pub(crate) fn flags(&self) -> Flags {
        self.project.clone().into()
    }
}

/// Exit code 0 only where every required check passed, on a GPU.
pub(crate) fn run(cx: &Context, args: &Args) -> Result<u8> {
    let settings = settings::load(cx, &args.flags())?;
    let (extent, seconds) = if args.full { (Extent::Full, 1800) } else { (Extent::Quick, 300) };
    let wish = Wish {
        project: args.project.clone(),
        image: args.image.clone(),
        arch: args.arch.clone(),
        json: args.json.clone(),
        junit: args.junit.clone(),
        seconds: args.timeout.unwrap_or(seconds),
        extent,
        dry_run: args.dry_run,
    };
    if args.here { here::run(cx, &settings, &wish) } else { one_shot::run(cx, &settings, &wish) }
}
