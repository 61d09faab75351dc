//! A GPU architecture: `12.0` is sm_120. Pure.

use std::fmt;

/// A compute capability, as `TORCH_CUDA_ARCH_LIST` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arch {
    major: u32,
    minor: u32,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Arch {
    /// Reads `12.0`. The suffixes that a list may add are ignored: `+PTX` asks for PTX beside the native code, and `a` and
    /// `f` for instructions that the smoke test's own kernel does not use.
    pub fn parse(text: &str) -> Option<Arch> {
        let plain = text.trim();
        let plain = plain.strip_suffix("+PTX").unwrap_or(plain);
        let plain = plain.strip_suffix(['a', 'f']).unwrap_or(plain);
        let (major, minor) = plain.split_once('.')?;
        let digits = |text: &str, most: usize| {
            ((1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
                .then(|| text.parse().ok())
                .flatten()
        };
        Some(Arch { major: digits(major, 2).filter(|major| *major > 0)?, minor: digits(minor, 1)? })
    }

    /// The number in `sm_120`, in the ELF header of a cubin and in `BINARY_VERSION`.
    pub(crate) fn sm(self) -> u32 {
        self.major * 10 + self.minor
    }

    /// The value of `__CUDA_ARCH__`.
    pub(crate) fn cuda_arch(self) -> u32 {
        self.sm() * 10
    }

    /// Whether native code for it runs on a GPU of this capability.
    pub(crate) fn runs_on(self, gpu: Arch) -> bool {
        self.major == gpu.major && self.minor <= gpu.minor
    }

    /// Whether a text is a list of them, with blanks or `;` between.
    pub(crate) fn are(list: &str) -> bool {
        let mut words = list.split([' ', ';']).filter(|word| !word.is_empty()).peekable();
        words.peek().is_some() && words.all(|word| Arch::parse(word).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_has_three_names() {
        for (text, sm, cuda_arch) in
            [("12.0", 120, 1200), ("12.1", 121, 1210), ("10.3a", 103, 1030), ("9.0+PTX", 90, 900), ("12.0f", 120, 1200)]
        {
            let arch = Arch::parse(text).unwrap();
            assert_eq!((arch.sm(), arch.cuda_arch()), (sm, cuda_arch), "{text}");
        }
        for text in ["", "12", "sm_120", "12.00", "0.1", "120.0", "-1.0", "12.x", "12.0b"] {
            assert_eq!(Arch::parse(text), None, "{text}");
        }
    }
}
