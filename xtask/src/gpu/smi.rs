//! The answers of `nvidia-smi`. Pure.

/// The answer to `--query-gpu=…` of this many fields with `--format=csv,noheader`, one line for each GPU. Other
/// lines are left out: the program prints its errors to the same stream.
pub(crate) fn rows<const FIELDS: usize>(text: &str) -> Vec<[&str; FIELDS]> {
    let row = |line| <[&str; FIELDS]>::try_from(str::split(line, ',').map(str::trim).collect::<Vec<_>>()).ok();
    text.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_all_fields_are_gpus() {
        assert_eq!(rows("0, GPU-a, RTX 5090\nNo devices were found\n1, GPU-b\n"), [["0", "GPU-a", "RTX 5090"]]);
    }
}
