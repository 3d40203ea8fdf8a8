//! What can be said to a session.

/// A prompt for a session, or a command that its runner carries out and the model does not see.
///
/// # Examples
///
/// ```
/// use bg_sessions::SessionCommand;
///
/// let steer = SessionCommand::parse("/steer use fewer words");
/// assert_eq!(steer, SessionCommand::Steer("use fewer words".to_owned()));
/// assert_eq!(SessionCommand::parse("  "), SessionCommand::Ping);
///
/// let path = "/usr/bin/cc is broken";
/// assert_eq!(SessionCommand::parse(path), SessionCommand::Prompt(path.to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionCommand {
    /// Something to do, word for word.
    Prompt(String),
    /// Wakes it: it stays for another idle time.
    Ping,
    /// Asks how it is.
    Status,
    /// Tells the turn under way something. A session that is idle takes it as a prompt, and so does
    /// one that is not if something is attached.
    Steer(String),
    /// Stops the turn under way, for this reason; the session stays.
    Stop(String),
    /// Ends the session, for this reason.
    Cancel(String),
}

impl SessionCommand {
    /// Reads what a model or a user has written: `/ping`, `/status`, `/steer TEXT`, `/stop REASON` and
    /// `/cancel REASON`, with the word in any case. Nothing at all is a ping; all else is a prompt, of
    /// which nothing is taken away, also when it begins with a slash.
    pub fn parse(text: &str) -> Self {
        let trimmed = text.trim();
        let (word, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let rest = || rest.trim().to_owned();
        match word.to_ascii_lowercase().as_str() {
            "" | "/ping" => Self::Ping,
            "/status" => Self::Status,
            "/steer" => Self::Steer(rest()),
            "/stop" => Self::Stop(rest()),
            "/cancel" => Self::Cancel(rest()),
            _ => Self::Prompt(text.to_owned()),
        }
    }
}
