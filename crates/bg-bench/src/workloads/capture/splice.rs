//! The limit: what comes through the pipe is not even looked at.

use std::fs::File;
use std::process::{ChildStdout, Command, Stdio};

use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

use super::Shape;
use crate::workloads::proc_exit::this_program;

/// The largest pipe that anybody gets, and bytes of a splice.
const PIPE: usize = 1 << 20;

/// Moves the output of a process to `/dev/null`.
pub(super) fn to_null(shape: Shape, bytes: usize) {
    let mut command = Command::new(this_program());
    command.args(shape.args(bytes)).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("this program starts again");
    let pipe = child.stdout.take().expect("it is piped");
    fcntl_setpipe_size(&pipe, PIPE).expect("a pipe can be that large");
    assert_eq!(moved(&pipe), bytes);
    assert!(child.wait().expect("a child is waited for").success());
}

fn moved(pipe: &ChildStdout) -> usize {
    let null = File::options().write(true).open("/dev/null").expect("there is a /dev/null");
    let mut total = 0;
    loop {
        let count = splice(pipe, None, &null, None, PIPE, SpliceFlags::MOVE);
        match count.expect("a pipe can be spliced") {
            0 => return total,
            count => total += count,
        }
    }
}
