//! What is attached to a prompt, as models take it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bg_tools::{Resource, ResourceContent};

/// What a model is sent of an attachment.
pub(crate) enum Attached<'a> {
    Text(Cow<'a, str>),
    Picture { mime: &'a str, base64: String },
}

/// A text is sent with its name before it, a picture as such, anything else by its name.
pub(crate) fn attached(resource: &Resource) -> Attached<'_> {
    let mime = resource.mime.as_deref().unwrap_or_default();
    match &resource.content {
        ResourceContent::Text(text) => Attached::Text(fenced(resource, text).into()),
        ResourceContent::Bytes(bytes) if is_image(mime) => {
            Attached::Picture { mime, base64: STANDARD.encode(bytes) }
        }
        _ => Attached::Text(resource.to_string().into()),
    }
}

/// A media type of a picture that can stand in a URL as it is.
fn is_image(mime: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    mime.strip_prefix("image/").is_some_and(|kind| !kind.is_empty() && kind.bytes().all(is_plain))
}

/// The fence is longer than any in the text, so the text cannot end it.
fn fenced(resource: &Resource, text: &str) -> String {
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or_default().max(2) + 1);
    format!("{resource}\n{fence}\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_media_type_that_can_stand_in_an_address() {
        assert!(is_image("image/png") && is_image("image/svg+xml"));
        assert!(!is_image("image/png;base64,xx") && !is_image("image/") && !is_image("text/css"));
    }
}
