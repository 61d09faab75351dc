//! What sandbox is wanted: the settings, and where its things lie. Pure, but for reading the settings files.

pub mod entering;
pub mod places;
pub mod promise;
pub mod settings;
