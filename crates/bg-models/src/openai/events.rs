//! The events of a stream, whatever the pieces in which its bytes come.
//!
//! `eventsource-stream` does the parsing. It gets one whole line at a time: it keeps what is no line
//! yet without a bound, and looks through all of it again for each piece.

use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::stream::{Stream, StreamExt, try_unfold};
use reqwest::Response;

use crate::body::Lines;
use crate::fault::Fault;

/// Returns the data of each event.
pub(crate) fn events(response: Response) -> impl Stream<Item = Result<String, Fault>> {
    let lines = try_unfold(Lines::of_events(response), |mut lines| async {
        Ok::<_, Fault>(lines.next().await?.map(|line| (line, lines)))
    });
    lines.eventsource().map(|event| match event {
        Ok(event) => Ok(event.data),
        Err(EventStreamError::Transport(fault)) => Err(fault),
        Err(error) => Err(Fault::Malformed { problem: error.to_string() }),
    })
}
