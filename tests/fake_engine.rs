//! Engines that a real one cannot be made into.
