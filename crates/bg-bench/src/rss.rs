//! The memory of this process, as the system counts it.

/// Returns the resident set in bytes; `None` where there is no `/proc`.
pub(crate) fn resident_bytes() -> Option<usize> {
    status("VmRSS:")
}

fn status(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// How far the resident set rises above where it stood.
#[cfg(target_os = "linux")]
pub(crate) struct Peak {
    before: usize,
}

#[cfg(target_os = "linux")]
impl Peak {
    /// Makes the system forget how high the resident set of this process once was.
    pub(crate) fn start() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").expect("the kernel forgets the peak");
        Self { before: Self::now() }
    }

    /// Returns the growth up to the highest point since the start, in bytes; a page where there
    /// was none, so that there are ratios to it.
    pub(crate) fn growth(&self) -> usize {
        Self::now().saturating_sub(self.before).max(4096)
    }

    fn now() -> usize {
        status("VmHWM:").expect("Linux says how high it was")
    }
}
