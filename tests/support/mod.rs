//! What the tests stand on. Nothing here asserts what the tool should do; the tests do.

pub(crate) mod breaking;
pub(crate) mod chatgpt;
pub(crate) mod codex;
pub(crate) mod devcontainer;
pub(crate) mod docker;
pub(crate) mod engine;
pub(crate) mod gpu;
pub(crate) mod model;
pub(crate) mod own;
pub(crate) mod place;
pub(crate) mod proc;
pub(crate) mod relay;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod second_engine;
pub(crate) mod smoke;
pub(crate) mod stopped;
pub(crate) mod terminal;
pub(crate) mod tls;
