//! stub until the branch lands
/// stub
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// m
    Mirror,
    /// s
    Shared,
    /// n
    None,
}
impl std::str::FromStr for Mode {
    type Err = anyhow::Error;
    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Ok(Mode::Mirror)
    }
}
