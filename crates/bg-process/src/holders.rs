//! Who holds a pipe open.

#[cfg(target_os = "linux")]
use tokio::sync::Semaphore;

#[cfg(target_os = "linux")]
use crate::beside::beside;
use crate::child::Streams;
use crate::receipt::Leftover;

/// The two pipes of a child's output, as the system names them.
#[cfg_attr(not(target_os = "linux"), derive(Default))]
pub(crate) struct PipeId {
    #[cfg(target_os = "linux")]
    links: Vec<String>,
}

/// Each look reads the descriptors of every process: not all of many at once.
#[cfg(target_os = "linux")]
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Most holders that are named.
#[cfg(target_os = "linux")]
const NAMED: usize = 16;

#[cfg(target_os = "linux")]
impl PipeId {
    pub(crate) fn of(streams: &Streams) -> Self {
        use std::os::fd::AsFd;
        let ends = [streams.output.as_fd(), streams.errors.as_fd()];
        let nodes = ends.into_iter().filter_map(|end| Some(rustix::fs::fstat(end).ok()?.st_ino));
        Self { links: nodes.map(|node| format!("pipe:[{node}]")).collect() }
    }

    /// Names the processes that hold them, except this one.
    pub(crate) async fn holders(&self) -> Vec<Leftover> {
        let links = self.links.clone();
        let _turn = AT_ONCE.acquire().await;
        beside(move || holders_of(&links)).await.unwrap_or_default()
    }
}

#[cfg(target_os = "linux")]
fn holders_of(links: &[String]) -> Vec<Leftover> {
    use crate::linux::procfs;
    let holds = |pid: &rustix::process::Pid| {
        let files = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_pid()));
        files.into_iter().flatten().flatten().any(|file| {
            let target = std::fs::read_link(file.path());
            target.is_ok_and(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
        })
    };
    let me = rustix::process::getpid();
    procfs::describe(procfs::all().filter(|&pid| pid != me).filter(holds).take(NAMED))
}

#[cfg(not(target_os = "linux"))]
impl PipeId {
    pub(crate) fn of(_: &Streams) -> Self {
        Self::default()
    }

    /// The system does not tell.
    #[expect(clippy::unused_async, reason = "the same signature everywhere")]
    pub(crate) async fn holders(&self) -> Vec<Leftover> {
        Vec::new()
    }
}
