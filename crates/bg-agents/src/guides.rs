//! The guides in `docs/guides/`, compiled and run with the tests.

#[doc = include_str!("../../../docs/guides/first-sub-agent.md")]
struct FirstSubAgent;

#[doc = include_str!("../../../docs/guides/sessions.md")]
struct Sessions;

#[doc = include_str!("../../../docs/guides/compaction.md")]
struct Compaction;

#[doc = include_str!("../../../docs/guides/model-adapter.md")]
struct ModelAdapter;

#[doc = include_str!("../../../docs/guides/tool.md")]
struct WritingATool;
