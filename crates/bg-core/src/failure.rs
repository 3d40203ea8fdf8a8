//! Why a task did not complete.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::effects::discard;
use crate::output::Output;
use crate::text;

/// The error of a task: what went wrong, its causes, and what had been reached.
///
/// Every error converts into it with its chain of sources, so `?` works in the closure of
/// [`Scope::spawn`](crate::Scope::spawn). For that reason it is not an [`Error`] itself.
///
/// # Examples
///
/// ```
/// use bg_core::Failure;
///
/// let failure: Failure = "x".parse::<u8>().unwrap_err().into();
/// assert_eq!(failure.to_string(), "invalid digit found in string");
/// assert_eq!(Failure::new("no tests found").message, "no tests found");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// The causes, the nearest first. At most 16 are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What had been reached before, usage and artifacts with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Box<Output>>,
}

impl Failure {
    const MAX_CAUSES: usize = 16;

    /// Longest message and longest cause that a task's outcome keeps, in bytes; of a longer one
    /// the rest is counted.
    pub const MAX_MESSAGE_BYTES: usize = 16 << 10;

    /// Cuts what is too long to be kept.
    pub(crate) fn capped(mut self) -> Self {
        let cap = |text: &mut String| {
            if text.len() > Self::MAX_MESSAGE_BYTES {
                *text = text::cut(std::mem::take(text), Self::MAX_MESSAGE_BYTES);
            }
        };
        cap(&mut self.message);
        self.causes.iter_mut().for_each(cap);
        self.causes.truncate(Self::MAX_CAUSES);
        self
    }

    pub(crate) fn weight(&self) -> u64 {
        let causes: usize = self.causes.iter().map(String::len).sum();
        let partial = self.partial.as_ref().map_or(0, |partial| partial.weight());
        (self.message.len() + causes) as u64 + partial
    }

    /// Makes a failure from a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), partial: None }
    }

    /// Adds what had been reached.
    pub fn with_partial(mut self, partial: Output) -> Self {
        self.partial = Some(Box::new(partial));
        self
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let causes = std::iter::successors(error.source(), |&cause| cause.source())
            .take(Self::MAX_CAUSES)
            .map(ToString::to_string)
            .collect();
        Self { causes, ..Self::new(error.to_string()) }
    }
}

/// Shows the message and its causes: `message: cause: cause`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// What a panic said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PanicReport {
    /// The message, cut at [`PanicReport::MAX_MESSAGE_BYTES`].
    pub message: String,
    /// Where it happened, `file:line:column`; known once the host has called
    /// [`PanicReport::capture_locations`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What the task had returned, when a destructor of its own panicked after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Box<Output>>,
}

impl PanicReport {
    /// Longest message that is kept, in bytes.
    pub const MAX_MESSAGE_BYTES: usize = 4096;

    /// Reads the payload of a panic that was caught, and drops it. A panic of its destructor is
    /// caught too.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::PanicReport;
    ///
    /// let payload = std::panic::catch_unwind(|| panic!("out of cheese")).unwrap_err();
    /// assert_eq!(PanicReport::of(payload).message, "out of cheese");
    /// ```
    pub fn of(payload: Box<dyn std::any::Any + Send>) -> Self {
        let message = Self::message_of(&*payload);
        let location = location_of(&message);
        discard(payload);
        Self { message, location, partial: None }
    }

    fn message_of(payload: &(dyn std::any::Any + Send)) -> String {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic whose payload is not text");
        text::prefix(message, Self::MAX_MESSAGE_BYTES).to_owned()
    }

    /// Has reports say where panics happen from now on. A payload does not know its place, so
    /// this puts a panic hook of the process in front of the one that is there, which is called
    /// as before. For hosts to call, once, at their start.
    ///
    /// # Examples
    ///
    /// ```
    /// use bg_core::PanicReport;
    ///
    /// PanicReport::capture_locations();
    /// let payload = std::panic::catch_unwind(|| panic!("here")).unwrap_err();
    /// assert!(PanicReport::of(payload).location.is_some());
    /// ```
    pub fn capture_locations() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                note_location(info);
                before(info);
            }));
        });
    }

    pub(crate) fn with_output(mut self, output: Output) -> Self {
        self.partial = Some(Box::new(output));
        self
    }
}

thread_local! {
    /// What the latest panics of this thread said and where they happened, until one is reported:
    /// what panics inside an unwind is caught first, and not reported here.
    static LOCATIONS: Cell<Vec<(String, String)>> = const { Cell::new(Vec::new()) };
}

/// Most panics whose places are kept until one of them is reported.
const MAX_LOCATIONS: usize = 8;

fn note_location(info: &std::panic::PanicHookInfo<'_>) {
    let Some(location) = info.location() else { return };
    let mut noted = LOCATIONS.take();
    if noted.len() == MAX_LOCATIONS {
        noted.remove(0);
    }
    noted.push((PanicReport::message_of(info.payload()), location.to_string()));
    LOCATIONS.set(noted);
}

/// Takes the place of the latest panic that said this.
fn location_of(message: &str) -> Option<String> {
    let noted = LOCATIONS.take();
    noted.into_iter().rev().find(|(said, _)| said == message).map(|(_, location)| location)
}
