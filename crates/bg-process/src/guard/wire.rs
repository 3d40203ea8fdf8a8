//! What host and guard say to each other.
//!
//! The host sends an *order* over the guard's socket: a message with the *launch* (what to run), and
//! descriptors with it. The first is the task's *leash*, three become the child's standard streams, and
//! a launch that is larger than a message comes in a file, the fifth. Everything after that is said on
//! the leash, which belongs to one task: bytes from the host, lines from whoever keeps the task. The
//! end of the leash at the host's side, for whatever reason, is the order to end the task.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bg_core::Exit;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::receipt::{Containment, Rest};

/// SIGTERM to the group, and SIGCONT.
pub(crate) const TERMINATE: u8 = b't';
/// SIGKILL to everything, until nothing is left.
pub(crate) const END: u8 = b'k';

/// What a guard says first on its socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) pid: u32,
    /// Whether it can make control groups.
    pub(crate) groups: bool,
}

/// What a guard is asked to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Told apart from every other one of this host.
    pub(crate) number: u64,
    pub(crate) fence: Fence,
}

/// What is to hold the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Cgroup,
    Subreaper,
}

/// Longest launch that goes into a message; sockets take more, and files any length.
const INLINE: usize = 32 << 10;

/// Most descriptors that come with an order.
const FDS: usize = 5;

/// An order that can be sent.
pub(crate) struct Parcel {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Parcel {
    /// Sends it. The socket keeps messages apart, so this is all or nothing.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let fds: Vec<BorrowedFd<'_>> = self.fds.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(socket, &[IoSlice::new(&self.bytes)], &mut ancillary, flags)?;
        Ok(())
    }
}

/// An order as it arrives.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) order: Order,
    /// The bytes of the launch; empty where it comes in a file.
    pub(crate) launch: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

impl Order {
    const HEADER: usize = 9;
    /// What a buffer for messages has to have room for.
    pub(crate) const MESSAGE: usize = Self::HEADER + INLINE;

    pub(crate) fn pack(
        self,
        launch: &Launch<CString>,
        leash: OwnedFd,
        streams: [OwnedFd; 3],
    ) -> io::Result<Parcel> {
        let mut bytes = self.bytes().to_vec();
        let mut fds: Vec<OwnedFd> = [leash].into_iter().chain(streams).collect();
        launch.write_to(&mut bytes);
        if bytes.len() > Self::MESSAGE {
            let launch = bytes.split_off(Self::HEADER);
            fds.push(file_of(&launch)?);
        }
        Ok(Parcel { bytes, fds })
    }

    /// Receives an order; `None` when there is none now.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when the host is gone.
    pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let got = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags);
        let count = match got {
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(message) => message.bytes,
        };
        let Some((header, launch)) = buffer[..count].split_first_chunk() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let fds = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        let (order, launch) = (Self::of(*header), launch.to_vec());
        Ok(Some(Received { order, launch, fds: fds.collect() }))
    }

    fn bytes(self) -> [u8; Self::HEADER] {
        let mut bytes = [0; Self::HEADER];
        bytes[0] = u8::from(self.fence == Fence::Subreaper);
        bytes[1..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    fn of(bytes: [u8; Self::HEADER]) -> Self {
        let [fence, number @ ..] = bytes;
        let fence = if fence == 0 { Fence::Cgroup } else { Fence::Subreaper };
        Self { number: u64::from_le_bytes(number), fence }
    }
}

fn file_of(bytes: &[u8]) -> io::Result<OwnedFd> {
    if getrlimit(Resource::Fsize).current.is_some_and(|most| most < bytes.len() as u64) {
        return in_a_pipe(bytes);
    }
    let mut file = File::from(memfd_create(c"bg-launch", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Reads the bytes of a launch that came in a file.
pub(crate) fn in_file(file: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut File::from(file.try_clone()?), &mut bytes)?;
    Ok(bytes)
}

/// What to run: texts of the host's own, or parts of what has arrived.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Launch<T> {
    /// An absolute path.
    pub(crate) program: T,
    pub(crate) folder: T,
    pub(crate) args: Vec<T>,
    /// `NAME=value`.
    pub(crate) env: Vec<T>,
}

impl Launch<CString> {
    /// The number of arguments, then everything, each with the NUL byte that ends it.
    fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend((self.args.len() as u64).to_le_bytes());
        let texts = [&self.program, &self.folder].into_iter().chain(&self.args).chain(&self.env);
        texts.for_each(|text| bytes.extend(text.as_bytes_with_nul()));
    }
}

impl<'a> Launch<&'a CStr> {
    pub(crate) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (count, texts) = bytes.split_first_chunk()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
        let texts = texts.split_inclusive(|&byte| byte == 0).map(CStr::from_bytes_with_nul);
        let texts: Result<Vec<&CStr>, _> = texts.collect();
        let mut texts = texts.ok()?.into_iter();
        let (program, folder) = (texts.next()?, texts.next()?);
        let args: Vec<_> = texts.by_ref().take(count).collect();
        (args.len() == count).then(|| Self { program, folder, args, env: texts.collect() })
    }
}

/// A host that may write no large files would be killed for one in memory, but not for this.
fn in_a_pipe(bytes: &[u8]) -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    if fcntl_setpipe_size(&writer, bytes.len()).is_err() {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    // There is room for all of it.
    File::from(OwnedFd::from(writer)).write_all(bytes)?;
    Ok(reader.into())
}

/// A line on a leash, from whoever keeps the task.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// Nothing was started.
    Failed(Failed),
    /// The process has exited and is reaped.
    Exited {
        #[serde(flatten)]
        exit: Exit,
        /// A signal of ours had been sent before.
        asked: bool,
        /// Nothing else is left of the task, and this was the last line.
        gone: bool,
        containment: Containment,
    },
    /// Everything that can be ended was ended. When something survives, this is not the end of the
    /// attempts.
    Ended { rest: Rest, containment: Containment },
}

/// Why nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) step: Step,
    pub(crate) errno: i32,
}

impl Failed {
    /// What the system said.
    pub(crate) fn error(self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

/// What did not work when a process was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Before there was a process.
    Prepare,
    Fork,
    /// Inside the new process, before its folder was entered.
    SetUp,
    Folder,
    Exec,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn text() -> impl Strategy<Value = CString> {
        proptest::collection::vec(1_u8.., 0..20).prop_map(|bytes| CString::new(bytes).unwrap())
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        socketpair(AddressFamily::UNIX, kind, flags, None).unwrap()
    }

    /// Sends a launch and receives it.
    fn through_a_socket(launch: &Launch<CString>) -> Received {
        let (here, there) = pair();
        let order = Order { number: 7, fence: Fence::Subreaper };
        let spare = || here.try_clone().unwrap();
        let parcel = order.pack(launch, spare(), [spare(), spare(), spare()]).unwrap();
        parcel.send(here.as_fd()).unwrap();
        let mut buffer = vec![0; Order::MESSAGE];
        let received = Order::receive(&there, &mut buffer).unwrap().unwrap();
        assert_eq!(received.order, order);
        received
    }

    #[track_caller]
    fn check_arrives(launch: &Launch<CString>) {
        let Received { launch: inline, fds, .. } = through_a_socket(launch);
        let bytes = if inline.is_empty() { in_file(&fds[4]).unwrap() } else { inline };
        let Launch { program, folder, args, env } = Launch::of(&bytes).unwrap();
        assert_eq!((program, folder), (launch.program.as_c_str(), launch.folder.as_c_str()));
        assert_eq!((args, env), (borrowed(&launch.args), borrowed(&launch.env)));
    }

    fn borrowed(texts: &[CString]) -> Vec<&CStr> {
        texts.iter().map(CString::as_c_str).collect()
    }

    proptest! {
        #[test]
        fn a_launch_arrives_as_it_was(
            program in text(),
            folder in text(),
            args in proptest::collection::vec(text(), 0..5),
            env in proptest::collection::vec(text(), 0..5),
        ) {
            check_arrives(&Launch { program, folder, args, env });
        }

        #[test]
        fn what_is_no_launch_is_refused_or_read(bytes: Vec<u8>) {
            let _ = Launch::of(&bytes);
        }
    }

    #[test]
    fn a_launch_of_any_length_arrives() {
        // Up to what fills a message, what is one byte too much, and what no socket takes.
        let rest = 8 + 1 + 1 + 1;
        for (length, descriptors) in
            [(0, 4), (INLINE - rest, 4), (INLINE - rest + 1, 5), (9 << 20, 5)]
        {
            let args = vec![CString::new(vec![b'x'; length]).unwrap()];
            let launch = Launch { args, ..Launch::default() };
            assert_eq!(through_a_socket(&launch).fds.len(), descriptors, "{length}");
            check_arrives(&launch);
        }
    }

    #[test]
    fn the_end_of_the_host_is_an_error() {
        let (here, there) = pair();
        let mut buffer = vec![0; Order::MESSAGE];
        assert!(Order::receive(&there, &mut buffer).unwrap().is_none());
        drop(here);
        let gone = Order::receive(&there, &mut buffer).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_report_is_one_line() {
        let exit = Exit { code: Some(3), signal: None };
        let containment = Containment::Subreaper;
        let report = Report::Exited { exit, asked: false, gone: true, containment };
        let line = serde_json::to_string(&report).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Report>(&line).unwrap(), report);
    }
}
