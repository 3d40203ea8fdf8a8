//! One binary for the tests that need none of their own: linking each by itself takes longer than
//! compiling it. `cargo xtask tidy` sees to it that none is forgotten.

mod support;

mod a_call_is_walled_in;
mod a_manifest_names_what_is_under_way;
mod a_model_sees_no_escape_sequences;
mod a_released_call_leaves_its_task;
mod a_task_can_be_looked_at_and_told_something;
mod a_tool_says_how_far_it_is;
mod a_wait_delivers_once;
mod an_output_cannot_forge;
mod argument_types_take_what_is_meant;
mod arguments_cannot_break_a_call;
mod calls_end_by_their_deadline;
mod no_attack_gets_through;
mod nothing_is_told_twice;
mod plain_text_is_taken_where_a_tool_takes_it;
mod reading_by_cursor_loses_nothing;
mod resources_go_to_those_who_take_them;
mod roots_are_walls;
mod several_tasks_are_waited_for_at_once;
mod the_estimate_is_not_below_a_real_vocabulary;
mod the_task_tools_keep_their_contract;
