//! Control groups of version 2: a group for each task, which the kernel can kill as a whole.
//!
//! The groups of one host lie in one folder below the group that the host is in itself, which is
//! called after the host, so that whoever comes later can tell that it is gone.
//!
//! A group is used once: one that was killed kills what is born into it later.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::process::Pid;

use super::host::Host;
use super::procfs;

const PREFIX: &str = "bg-";

/// Where the groups of one host are.
#[derive(Debug)]
pub(crate) struct Cgroups {
    folder: PathBuf,
}

impl Cgroups {
    /// Makes the folder of this host.
    ///
    /// # Errors
    ///
    /// Where there is no version 2, it is not writable, or it cannot kill.
    pub(crate) fn create(host: &Host) -> io::Result<Self> {
        let folder = own_group()?.join(format!("{PREFIX}{host}"));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let groups = Self { folder };
        if groups.folder.join("cgroup.kill").exists() {
            return Ok(groups);
        }
        groups.remove();
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a group.
    pub(crate) fn group(&self, number: u64) -> io::Result<Cgroup> {
        let path = self.folder.join(number.to_string());
        fs::create_dir(&path)?;
        Cgroup::open(path)
    }

    /// Removes the folder, once every group in it is gone.
    pub(crate) fn remove(&self) {
        remove_all(&self.folder);
    }
}

/// A group and everything below it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    folder: OwnedFd,
}

impl Cgroup {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(&path, flags, Mode::empty())?;
        Ok(Self { path, folder })
    }

    /// Sends SIGKILL to everything in it; what is being forked meanwhile dies too.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let file =
            openat(&self.folder, "cgroup.kill", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(file, b"1")?;
        Ok(())
    }

    /// Returns whether nothing lives in it. A zombie does not.
    pub(crate) fn is_empty(&self) -> bool {
        let events = self.read("cgroup.events").unwrap_or_default();
        // A folder that is gone has nobody in it.
        !events.lines().any(|line| line == "populated 1")
    }

    /// Everything that lives in it and directly below.
    pub(crate) fn members(&self) -> Vec<Pid> {
        procfs::pids(&self.read("cgroup.procs").unwrap_or_default())
    }

    fn read(&self, file: &str) -> io::Result<String> {
        let file = openat(&self.folder, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        // Without the question how large it is, which has no answer.
        let mut text = Vec::with_capacity(256);
        while rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text))? > 0 {
            text.reserve(256);
        }
        String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Returns whether a process is in it.
    pub(crate) fn has(&self, pid: Pid) -> bool {
        let name = self.path.file_name().zip(self.path.parent().and_then(Path::file_name));
        let Some((number, host)) = name else { return false };
        let (number, host) = (number.to_string_lossy(), host.to_string_lossy());
        let line = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_pid()));
        let line = line.unwrap_or_default();
        let group = line.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        let wanted = format!("/{host}/{number}");
        group.ends_with(&wanted) || group.contains(&format!("{wanted}/"))
    }

    /// Removes it, and the groups that its members have made below it.
    pub(crate) fn remove(self) {
        if fs::remove_dir(&self.path).is_err() {
            remove_all(&self.path);
        }
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// The group of a task of this host's.
pub(crate) fn of_task(number: u64) -> io::Result<Cgroup> {
    let folder = own_group()?.join(format!("{PREFIX}{}", Host::own()));
    Cgroup::open(folder.join(number.to_string()))
}

/// The groups of hosts that are gone, in the folder where this process makes its own.
pub(crate) fn of_hosts_that_are_gone() -> Vec<Cgroup> {
    let entries = own_group().and_then(fs::read_dir).into_iter().flatten().flatten();
    let gone = entries.filter(|entry| {
        let name = entry.file_name();
        let host = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<Host>().ok());
        host.is_some_and(|host| host.is_gone())
    });
    gone.filter_map(|entry| Cgroup::open(entry.path()).ok()).collect()
}

/// A group is removed as an empty folder, whatever files it shows.
fn remove_all(path: &Path) {
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_all(&entry.path());
    }
    if let Err(error) = fs::remove_dir(path) {
        tracing::debug!(path = %path.display(), %error, "a control group was not removed");
    }
}

/// The folder of the group that this process is in.
fn own_group() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    group_in(&mounts, &groups).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Finds the folder of a group: where version 2 is mounted, and what is mounted there of it.
fn group_in(mounts: &str, groups: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(group).strip_prefix(root).ok()?;
        system.starts_with("cgroup2 ").then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
25 1 0:23 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
30 25 0:28 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory
31 25 0:29 / /sys/fs/cgroup/unified rw,relatime shared:11 - cgroup2 cgroup2 rw
";

    #[track_caller]
    fn check(mounts: &str, groups: &str, folder: Option<&str>) {
        assert_eq!(group_in(mounts, groups), folder.map(PathBuf::from));
    }

    #[test]
    fn the_own_group_is_found_below_the_mount() {
        check(MOUNTS, "4:memory:/x\n0::/\n", Some("/sys/fs/cgroup/unified/"));
        check(MOUNTS, "0::/user.slice/a b\n", Some("/sys/fs/cgroup/unified/user.slice/a b"));
    }

    #[test]
    fn a_part_that_is_mounted_elsewhere_is_left_out() {
        let mounts = "31 25 0:29 /pod/7 /sys/fs/cgroup ro,relatime - cgroup2 cgroup2 rw\n";
        check(mounts, "0::/pod/7/x\n", Some("/sys/fs/cgroup/x"));
        check(mounts, "0::/elsewhere\n", None);
    }

    #[test]
    fn without_version_two_there_is_none() {
        check("25 1 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", "0::/\n", None);
        check(MOUNTS, "4:memory:/x\n", None);
    }
}
