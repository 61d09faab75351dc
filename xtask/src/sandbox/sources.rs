//! stub
use crate::sandbox::promise::Mount;
use std::path::PathBuf;
/// stub
pub struct Rules {
    /// a
    pub home: PathBuf,
    /// a
    pub repository: PathBuf,
    /// a
    pub uid: u32,
    /// a
    pub gid: u32,
    /// a
    pub groups: Vec<u32>,
}
/// stub
pub fn check(_: &[Mount], _: &Rules) -> Vec<String> {
    Vec::new()
}
