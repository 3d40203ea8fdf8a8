//! Bytes in JSON: base64 with padding, which is how model providers take them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serializer};

pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
    let letters = String::deserialize(from)?;
    let bytes = STANDARD.decode(letters).map_err(|error| D::Error::custom(error.to_string()))?;
    Ok(bytes.into())
}
