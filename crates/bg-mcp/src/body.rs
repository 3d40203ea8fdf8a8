//! The body of an answer over HTTP, which knows whether it was taken to its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;

use crate::delivery::Delivery;

/// A body that ends a delivery: done when the last of it was taken to be sent, else lost.
pub(crate) struct Delivered {
    body: BoxBody<Bytes, Infallible>,
    delivery: Delivery,
}

impl Delivered {
    pub(crate) fn new(body: BoxBody<Bytes, Infallible>, delivery: Delivery) -> Self {
        Self { body, delivery }
    }
}

impl Body for Delivered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.delivery.done();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        self.delivery.lost();
    }
}
