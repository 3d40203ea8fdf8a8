//! Reading arguments: tolerant of what models write, strict about what it means.

mod json;
mod parse;
mod types;

pub(crate) use json::{parse_json, plain_text};
pub use parse::parse_args;
pub use types::{BoolArg, CountArg, SecsArg, TaskIdArg};
