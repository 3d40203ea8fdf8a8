//! What a file, or a set of files, weighs.

use std::io;
use std::path::Path;

use super::answer::plural;
use super::text;
use super::walk::Entry;

/// What one file weighs; only text has lines.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) lines: Lines,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    Text(u64),
    Binary,
    Link,
    Unread,
}

impl Size {
    /// Fails if the file is gone; one that is there and cannot be read has a size.
    pub(super) fn of(entry: &Entry, stop: &dyn Fn() -> bool) -> io::Result<Size> {
        let bytes = entry.path.symlink_metadata()?.len();
        let lines = if entry.is_link { Lines::Link } else { Lines::of(&entry.path, stop) };
        Ok(Size { bytes, lines })
    }

    pub(super) fn unless_unread(self) -> io::Result<()> {
        if self.lines == Lines::Unread { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }

    pub(super) fn row(&self, name: &str) -> String {
        let bytes = self.bytes;
        match self.lines {
            Lines::Text(lines) => format!("{name}\t{bytes}\t{lines}"),
            Lines::Binary => format!("{name}\t{bytes}\tbinary"),
            Lines::Link => format!("{name}\t{bytes}\tlink"),
            Lines::Unread => format!("{name}\t{bytes}\tunread"),
        }
    }
}

impl Lines {
    fn of(path: &Path, stop: &dyn Fn() -> bool) -> Lines {
        let counted =
            text::open(path, stop).and_then(|text| text.map(text::Text::count_lines).transpose());
        match counted {
            Ok(Some(lines)) => Lines::Text(lines),
            Ok(None) => Lines::Binary,
            Err(_) => Lines::Unread,
        }
    }

    pub(super) fn count(self) -> u64 {
        if let Lines::Text(lines) = self { lines } else { 0 }
    }
}

#[derive(Default)]
pub(super) struct Sum {
    pub(super) files: u64,
    bytes: u64,
    pub(super) lines: u64,
    binary: u64,
    links: u64,
}

impl Sum {
    pub(super) fn add(&mut self, size: &Size) {
        self.files += 1;
        self.bytes += size.bytes;
        self.lines += size.lines.count();
        self.binary += u64::from(size.lines == Lines::Binary);
        self.links += u64::from(size.lines == Lines::Link);
    }

    pub(super) fn row(&self, language: &str) -> String {
        format!("{language}\t{}\t{}\t{}", self.files, self.lines, self.bytes)
    }

    pub(super) fn headline(&self) -> String {
        let counted = [(self.files, "file"), (self.bytes, "byte"), (self.lines, "line")];
        let mut parts = counted.map(|(count, noun)| plural(count, noun)).to_vec();
        if self.binary > 0 {
            parts.push(format!("{} binary", self.binary));
        }
        if self.links > 0 {
            parts.push(plural(self.links, "link"));
        }
        parts.join(", ")
    }
}
