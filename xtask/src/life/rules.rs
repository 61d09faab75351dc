//! What the checks of the mounts' sources go by.

use crate::context::Context;
use crate::engine::sockets;
use crate::proof::sources::Rules;
use crate::spec::settings::Settings;
use crate::user::User;
use std::path::PathBuf;

/// Who the container's user will be, with these supplementary groups, and what no mount may show.
pub(crate) fn rules(cx: &Context, user: &User, groups: Vec<u32>, settings: &Settings) -> Rules {
    let mut sockets = sockets::usual(user.uid);
    sockets.extend(cx.var("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from));
    Rules {
        home: cx.home.clone(),
        repository: cx.root.clone(),
        private: vec![cx.state.clone(), cx.codex_home()],
        uid: user.uid,
        gid: user.gid,
        groups,
        allow_ground: settings.allow_ground.clone(),
        sockets,
    }
}
