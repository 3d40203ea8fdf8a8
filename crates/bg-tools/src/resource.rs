//! Resources: what is attached to a prompt or a call, and which agent receives it.

use std::fmt;
use std::sync::Arc;

use bg_core::text;
use serde::{Deserialize, Serialize};

use crate::hidden::quoted;

mod in_base64;

/// The tag of a receiver that takes everything.
const ANY: &str = "*";

/// Longest part of a name, a media type or a place that is shown, in bytes.
const SHOWN_BYTES: usize = 200;

/// An attachment: a file, a picture, a document, with the tags by which receivers are found.
///
/// Plain data that can be stored; its content is shared, so that a clone costs no more than its names.
/// Whoever takes resources from outside calls [`check`](Self::check), which knows the bounds. As text
/// (`to_string`) it is one line that names it and never holds its content.
///
/// # Examples
///
/// ```
/// use bg_tools::Resource;
///
/// let chart = Resource::new("chart.png")
///     .with_mime("image/png")
///     .with_bytes([0x89, 0x50, 0x4e])
///     .with_tags(["image"]);
/// assert!(chart.check().is_ok());
/// assert_eq!(chart.to_string(), "[resource chart.png image/png, 3 bytes]");
/// assert_eq!(serde_json::to_value(&chart)?["content"]["bytes"], "iVBO");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resource {
    /// What it is called. Foreign text.
    pub name: String,
    /// Where it is, if anybody can fetch it. Foreign text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its media type, if known. Foreign text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// What is in it.
    #[serde(default, skip_serializing_if = "ResourceContent::is_linked")]
    pub content: ResourceContent,
    /// Words by which receivers are found; see [`select_resources`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What is in a [`Resource`]. In JSON `{"text": "..."}`, or `{"bytes": "..."}` in base64.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResourceContent {
    /// Text.
    Text(Arc<str>),
    /// Bytes, such as a picture.
    Bytes(#[serde(with = "in_base64")] Arc<[u8]>),
    /// It is not here: the `uri` says where it is.
    #[default]
    Linked,
}

/// The resource is not one that anybody takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// It has no name, or a blank one.
    #[error("a resource needs a name")]
    NoName,
    /// It has neither content nor a place where the content is.
    #[error("{resource} needs a text, bytes or a uri")]
    NoContent {
        /// The resource as text.
        resource: String,
    },
    /// One of its parts is larger than it may be.
    #[error("the {part} of {resource} is too large: {size} of at most {limit}")]
    TooLarge {
        /// The resource as text.
        resource: String,
        /// `name`, `uri`, `mime`, `content` or `tag`, all in bytes, or `tags`, which are counted.
        part: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
}

impl Resource {
    /// Longest name, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;

    /// Longest uri, in bytes. Content belongs into [`content`](Self::content), not into a `data:` uri.
    pub const MAX_URI_BYTES: usize = 8 << 10;

    /// Longest media type, in bytes.
    pub const MAX_MIME_BYTES: usize = 256;

    /// Largest content, in bytes.
    pub const MAX_CONTENT_BYTES: usize = 16 << 20;

    /// Most tags.
    pub const MAX_TAGS: usize = 32;

    /// Longest tag, in bytes.
    pub const MAX_TAG_BYTES: usize = 64;

    /// Names a resource. It needs content or a uri too.
    pub fn new(name: impl Into<String>) -> Self {
        let (name, tags) = (name.into(), Vec::new());
        Self { name, uri: None, mime: None, content: ResourceContent::Linked, tags }
    }

    /// Says where it is.
    pub fn with_uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = Some(uri.into());
        self
    }

    /// Says its media type.
    pub fn with_mime(mut self, mime: impl Into<String>) -> Self {
        self.mime = Some(mime.into());
        self
    }

    /// Sets its content, in place of what there was.
    pub fn with_text(mut self, text: impl Into<Arc<str>>) -> Self {
        self.content = ResourceContent::Text(text.into());
        self
    }

    /// Sets its content, in place of what there was.
    pub fn with_bytes(mut self, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.content = ResourceContent::Bytes(bytes.into());
        self
    }

    /// Sets the words by which receivers are found.
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Returns whether a receiver with these tags takes it; see [`select_resources`].
    pub fn is_for(&self, tags: &[String]) -> bool {
        let is_own = |tag: &String| self.tags.iter().any(|own| is_same_tag(own, tag));
        tags.iter().any(|tag| tag.trim() == ANY || is_own(tag))
    }

    /// Checks that it is complete and within its bounds.
    ///
    /// # Errors
    ///
    /// [`ResourceError`], whose text repeats no more of the resource than `to_string` does.
    pub fn check(&self) -> Result<(), ResourceError> {
        if self.name.trim().is_empty() {
            return Err(ResourceError::NoName);
        }
        if self.content.is_linked() && self.uri.as_deref().unwrap_or("").trim().is_empty() {
            return Err(ResourceError::NoContent { resource: self.to_string() });
        }
        let too_large = self.sizes().into_iter().find(|(_, size, limit)| size > limit);
        too_large.map_or(Ok(()), |(part, size, limit)| {
            Err(ResourceError::TooLarge { resource: self.to_string(), part, size, limit })
        })
    }

    /// What is bounded: its name, its size, and how large it may be.
    fn sizes(&self) -> [(&'static str, usize, usize); 6] {
        let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let longest_tag = self.tags.iter().map(String::len).max().unwrap_or(0);
        [
            ("name", self.name.len(), Self::MAX_NAME_BYTES),
            ("uri", bytes(&self.uri), Self::MAX_URI_BYTES),
            ("mime", bytes(&self.mime), Self::MAX_MIME_BYTES),
            ("content", self.content.size_bytes().unwrap_or(0), Self::MAX_CONTENT_BYTES),
            ("tags", self.tags.len(), Self::MAX_TAGS),
            ("tag", longest_tag, Self::MAX_TAG_BYTES),
        ]
    }
}

/// One line for people and models: `[resource chart.png image/png, 3 bytes]`, or with `at <uri>` in
/// place of the size if it is elsewhere. Each part is cut to 200 bytes. What is more than a plain word
/// is quoted, and what is hidden in it is escaped: no name can look like the end of the line.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[resource {}", shown(&self.name))?;
        if let Some(mime) = &self.mime {
            write!(f, " {}", shown(mime))?;
        }
        match (self.content.size_bytes(), &self.uri) {
            (Some(size), _) => write!(f, ", {size} bytes]"),
            // It is content, whatever the field is called.
            (None, Some(uri)) if is_data(uri) => write!(f, ", a data uri of {} bytes]", uri.len()),
            (None, Some(uri)) => write!(f, ", at {}]", shown(uri)),
            (None, None) => f.write_str("]"),
        }
    }
}

impl ResourceContent {
    /// Returns how many bytes it has; `None` if it is elsewhere.
    pub fn size_bytes(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Linked => None,
        }
    }

    fn is_linked(&self) -> bool {
        matches!(self, Self::Linked)
    }
}

/// The size alone: what is attached has no place in a log.
impl fmt::Debug for ResourceContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Linked => f.write_str("Linked"),
        }
    }
}

/// Moves out the resources that a receiver with these tags takes. Both what is returned and what stays
/// keep their order.
///
/// No tags take nothing. A tag `*`, wherever it stands, takes everything, what has no tags too. Other
/// tags take what has one of them; case and blanks around a tag do not count, and a blank tag is none.
///
/// # Examples
///
/// ```
/// use bg_tools::{Resource, select_resources};
///
/// let chart = Resource::new("chart.png").with_bytes([1]).with_tags(["image"]);
/// let notes = Resource::new("notes.md").with_text("# Notes");
/// let mut all = vec![chart.clone(), notes.clone()];
/// assert_eq!(select_resources(&mut all, &["Image".to_owned()]), [chart]);
/// assert_eq!(all, [notes]);
/// ```
pub fn select_resources(resources: &mut Vec<Resource>, tags: &[String]) -> Vec<Resource> {
    resources.extract_if(.., |resource| resource.is_for(tags)).collect()
}

fn is_same_tag(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    !one.is_empty() && lower_case(one).eq(lower_case(other))
}

fn lower_case(tag: &str) -> impl Iterator<Item = char> {
    tag.chars().flat_map(char::to_lowercase)
}

fn is_data(uri: &str) -> bool {
    let scheme = uri.trim_start().split_at_checked(5).map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// A plain word as it is, other text in quotes.
fn shown(foreign: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+/:".contains(&byte);
    let excerpt = text::excerpt(foreign, SHOWN_BYTES);
    if !excerpt.is_empty() && excerpt.bytes().all(is_plain) { excerpt } else { quoted(&excerpt) }
}
