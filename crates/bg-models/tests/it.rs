//! One binary for the tests that need none of their own: linking each by itself takes longer than
//! compiling it. `cargo xtask tidy` sees to it that none is forgotten.

mod kits;
mod support;

mod a_connection_is_closed_at_once;
mod a_mock_plays_trouble;
mod an_agent_meets_trouble;
mod an_answer_is_bounded;
mod an_answer_is_put_together;
mod an_error_has_a_class;
mod what_a_server_refuses_is_left_out;
