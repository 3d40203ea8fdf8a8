//! A spec turned into what is started: paths absolute, variables known, pipes made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::spec::{Inherit, ProcessSpec};

/// What is started, in every detail.
pub(crate) struct Prepared {
    /// Absolute: neither the child's folder nor its variables have a part in finding it.
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// All the variables that it sees.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// `None` for the folder of the host.
    pub(crate) folder: Option<PathBuf>,
    /// No other child of this host has it.
    #[cfg(target_os = "linux")]
    pub(crate) number: u64,
    /// The value of [`MARK`](crate::linux::host::MARK) among the variables.
    #[cfg(target_os = "linux")]
    pub(crate) mark: String,
    pub(crate) piped_input: bool,
}

impl Prepared {
    pub(crate) fn of(spec: &ProcessSpec, program: &Path, piped_input: bool) -> Self {
        let (program, args) = (program.to_owned(), spec.args.clone());
        let folder = spec.cwd.as_ref().map(|cwd| std::path::absolute(cwd).unwrap_or(cwd.clone()));
        let mut env = inherited(&spec.inherit);
        spec.env.iter().for_each(|(name, value)| set(&mut env, name.clone(), value.clone()));
        #[cfg(target_os = "linux")]
        {
            use crate::linux::host::{Host, MARK};
            let number = crate::guard::next_number();
            let mark = Host::own().mark(number);
            set(&mut env, MARK.into(), mark.clone().into());
            Self { program, args, env, folder, number, mark, piped_input }
        }
        #[cfg(not(target_os = "linux"))]
        Self { program, args, env, folder, piped_input }
    }
}

fn inherited(inherit: &Inherit) -> Vec<(OsString, OsString)> {
    match inherit {
        Inherit::All => std::env::vars_os().collect(),
        Inherit::Only(names) => {
            names.iter().filter_map(|name| Some((name.clone(), std::env::var_os(name)?))).collect()
        }
        Inherit::Nothing => Vec::new(),
    }
}

fn set(env: &mut Vec<(OsString, OsString)>, name: OsString, value: OsString) {
    env.retain(|(other, _)| *other != name);
    env.push((name, value));
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    use tokio::net::unix::pipe::{Receiver, Sender};

    use super::Prepared;
    use crate::child::Streams;

    /// What is made here is a pipe, and need not be asked whether it is one.
    fn receiver(end: OwnedFd) -> io::Result<Receiver> {
        rustix::io::ioctl_fionbio(&end, true)?;
        Receiver::from_owned_fd_unchecked(end)
    }

    impl Prepared {
        /// Makes the pipes: the host's ends, and those of the child in the order of its streams.
        pub(crate) fn pipes(&self) -> io::Result<(Streams, [OwnedFd; 3])> {
            let (input, their_input) = if self.piped_input {
                let (theirs, ours) = io::pipe()?;
                (Some(Sender::from_owned_fd(ours.into())?), theirs.into())
            } else {
                (None, File::open("/dev/null")?.into())
            };
            let (output, their_output) = io::pipe()?;
            let (errors, their_errors) = io::pipe()?;
            let (output, errors) = (receiver(output.into())?, receiver(errors.into())?);
            let theirs = [their_input, their_output.into(), their_errors.into()];
            Ok((Streams { input, output, errors }, theirs))
        }

        /// The same for the standard library, which starts it without a copy of the host's memory
        /// map: the program is a path, and nothing of ours runs in the child before it.
        pub(crate) fn command(&self, streams: [OwnedFd; 3]) -> Command {
            let [input, output, errors] = streams.map(Stdio::from);
            let mut command = Command::new(&self.program);
            command.args(&self.args).stdin(input).stdout(output).stderr(errors).env_clear();
            command.envs(self.env.iter().map(|(name, value)| (name, value)));
            if let Some(folder) = &self.folder {
                command.current_dir(folder);
            }
            command
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CString, OsString};
    use std::io;
    use std::os::unix::ffi::OsStringExt;

    use super::Prepared;
    use crate::error::StartError;
    use crate::guard::wire::{Failed, Launch, Step};

    impl Prepared {
        /// The same for the guard.
        pub(crate) fn launch(&self) -> Result<Launch<CString>, StartError> {
            let folder = self.folder.clone().map_or_else(std::env::current_dir, Ok);
            let folder = folder.map_err(|error| Failed::at(Step::Folder, &error));
            let folder = folder.map_err(StartError::Failed)?;
            let program = text(self.program.clone().into_os_string())?;
            let args = self.args.iter().cloned().map(text);
            let pairs = self.env.iter().map(|(name, value)| {
                let mut pair = name.clone();
                pair.push("=");
                pair.push(value);
                text(pair)
            });
            Ok(Launch {
                args: std::iter::once(Ok(program.clone()))
                    .chain(args)
                    .collect::<io::Result<_>>()?,
                env: pairs.collect::<io::Result<_>>()?,
                folder: text(folder.into_os_string())?,
                program,
            })
        }
    }

    /// A spec has no NUL bytes by now, and the host's variables cannot have any.
    fn text(text: OsString) -> io::Result<CString> {
        CString::new(text.into_vec()).map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}
