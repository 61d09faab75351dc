//! What goes into the container of the smoke test: an image, and the data set of which a clip is decoded.

use super::Wish;
use crate::context::Context;
use crate::engine::docker;
use crate::engine::inspect::StoredImage;
use crate::error::failed;
use crate::exec;
use crate::image::build;
use crate::life::{exposed, rules};
use crate::proof::sources;
use crate::spec::Mount;
use crate::spec::settings::{ProjectFlags, Settings};
use crate::text;
use crate::user::User;
use anyhow::{Context as _, Result};

/// The image that is tested, by its reference and as the engine knows it: the user's own, which must exist, or the
/// sandbox's, which is built where it is missing.
///
/// # Errors
/// It does not exist, or cannot be built.
pub(super) fn image_of(cx: &Context, settings: &Settings, wish: &Wish, user: &User) -> Result<(String, StoredImage)> {
    let reference = match &wish.image {
        Some(reference) => reference.clone(),
        None => {
            let state = build::state(cx, settings, user)?;
            build::ensure(cx, settings, user, &state)?.inputs.tag()
        }
    };
    let said = exec::capture(&docker::image("{{json .}}", &reference))?;
    if !said.ok() {
        return Err(failed(format!("this engine has no image `{reference}`"))
            .hint(format!("`docker pull {}`", text::word(&reference)))
            .into());
    }
    let image = serde_json::from_str(&said.stdout)
        .with_context(|| format!("`docker image inspect {reference}` did not answer as Docker does"))?;
    Ok((reference, image))
}

/// The data set of which a clip is decoded: one that was given with a flag before one of the settings. A name without a
/// directory is left out here, and no question is asked.
///
/// # Errors
/// Its directory cannot be used, or must not be mounted.
pub(super) fn dataset(cx: &Context, given: &ProjectFlags, settings: &Settings, user: &User) -> Result<Option<Mount>> {
    let given = |name: &str| given.datasets.iter().any(|(flag, _)| flag == name);
    let mut with_source: Vec<_> = settings.datasets.iter().filter(|set| set.source.is_some()).collect();
    with_source.sort_by_key(|set| (!given(&set.name), set.name != "ssv2"));
    let exposed = exposed(cx)?;
    let Some(mount) = with_source.first().map_or(Ok(None), |set| set.mount(&exposed))? else { return Ok(None) };
    let rules = rules(cx, user, user.groups_for([mount.source.as_path()].into_iter()), settings);
    let problems = sources::check(std::slice::from_ref(&mount), &rules, &exposed);
    sources::failure(&problems).map_or(Ok(Some(mount)), |failure| Err(failure.into()))
}
