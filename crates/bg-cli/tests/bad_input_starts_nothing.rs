//! What cannot be run: one message with the place, exit status 2, nothing started.

mod support;

use support::{Folder, bg, run_plan, stderr, stdout};

const AGENT: &str = "[[agent]]\nname = \"a\"\ntools = [\"ListFiles\"]\n";
const PROCESS: &str = "[[process]]\ncommand = \"touch started\"\n";

/// Runs a plan that is wrong, and checks the whole message behind the name of the file.
#[track_caller]
fn refused(plan: &str, message: &str) {
    let folder = Folder::new();
    let output = run_plan(&folder, &format!("{plan}{PROCESS}"), &[]);
    let place = folder.path().join("plan.toml");
    assert_eq!(stderr(&output), format!("bg: {}:{message}\n", place.display()));
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(!folder.path().join("started").exists(), "something was started");
}

#[test]
fn a_plan_that_is_not_toml_is_told_with_its_place() {
    let folder = Folder::new();
    let output = run_plan(&folder, "a = 1\nb = = 2\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("plan.toml:2:5: "), "{}", stderr(&output));
}

#[test]
fn an_unknown_key_is_named() {
    refused(
        "[[task]]\nagent = \"a\"\nscrpt = \"say x\"\n",
        "3:1: unknown field `scrpt`, expected one of `name`, `agent`, `after`, `prompt`, \
         `script`",
    );
}

#[test]
fn an_unknown_agent_is_named_with_those_there_are() {
    let task = "[[task]]\nagent = \"b\"\nprompt = \"p\"\nscript = \"say x\"\n";
    refused(&format!("{AGENT}{task}"), "5:9: unknown agent \"b\"; the plan has: a");
}

#[test]
fn an_unknown_tool_is_named_with_those_there_are() {
    refused(
        "[[agent]]\nname = \"a\"\ntools = [\"ListFiles\", \"Lst\"]\n",
        "3:23: unknown tool \"Lst\"; the tools are: Bash, InvokeAgent, ListFiles, ReadFile, \
         SearchFiles, ListBackgroundTasks, CancelTask, WaitTask, ReadTaskOutput",
    );
}

#[test]
fn a_name_that_no_agent_can_have_is_refused() {
    refused(
        "[[agent]]\nname = \"Not one\"\n",
        "2:8: \"Not one\" cannot be the name of an agent: lower-case letters, digits and \
         underscores, starting with a letter, at most 61 bytes",
    );
}

#[test]
fn two_agents_of_one_name_are_refused() {
    refused(&format!("{AGENT}{AGENT}"), "5:8: there are two agents \"a\"");
}

#[test]
fn a_script_that_does_not_parse_is_told_with_its_line_in_the_file() {
    let task =
        "[[task]]\nagent = \"a\"\nprompt = \"p\"\nscript = '''\ncall ListFiles {}\nshout x\n'''\n";
    refused(
        &format!("{AGENT}{task}"),
        "9:1: in the script: unknown word \"shout\": a line begins with call, also, say or fail",
    );
}

#[test]
fn a_script_that_calls_what_its_agent_does_not_have_is_refused() {
    let task =
        "[[task]]\nagent = \"a\"\nprompt = \"p\"\nscript = \"\"\"\ncall Bash {}\nsay x\"\"\"\n";
    refused(
        &format!("{AGENT}{task}"),
        "7:10: the script calls Bash, which the agent a does not have",
    );
}

#[test]
fn a_task_without_a_script_is_refused() {
    let problem = "4:1: there is no `script`, and `--model script` plays nothing else";
    refused(&format!("{AGENT}[[task]]\nagent = \"a\"\nprompt = \"p\"\n"), problem);
}

#[test]
fn a_name_that_nothing_has_is_told_with_those_there_are() {
    let plan = "[[process]]\nname = \"b\"\nafter = [\"c\"]\ncommand = \"true\"\n";
    refused(plan, "3:10: unknown name \"c\"; the plan has: b");
    let plan = "[[process]]\nafter = [\"c\"]\ncommand = \"true\"\n";
    refused(plan, "2:10: unknown name \"c\"; nothing in the plan has a name to come after");
}

#[test]
fn a_name_is_that_of_one_task_session_or_process() {
    let task = "[[task]]\nname = \"x\"\nagent = \"a\"\nscript = \"say x\"\n";
    let problem = "there are two with the name \"x\"";
    refused(&format!("{AGENT}{task}{task}"), &format!("9:8: {problem}"));
    let process = "[[process]]\nname = \"x\"\ncommand = \"true\"\n";
    refused(&format!("{AGENT}{task}{process}"), &format!("9:8: {problem}"));
    let session =
        "[[session]]\nname = \"x\"\nagent = \"a\"\n[[session.prompt]]\nscript = \"say x\"\n";
    refused(&format!("{AGENT}{session}{task}"), &format!("5:8: {problem}"));
    refused(
        "[[process]]\nname = \"No name\"\ncommand = \"true\"\n",
        "2:8: \"No name\" cannot be a name: lower-case letters, digits and underscores, starting \
         with a letter, at most 61 bytes",
    );
}

#[test]
fn nothing_comes_twice_after_the_same_or_after_what_only_ends_with_the_others() {
    let process = "[[process]]\nname = \"b\"\ncommand = \"true\"\n";
    refused(
        &format!("{process}[[process]]\nafter = [\"b\", \"b\"]\ncommand = \"true\"\n"),
        "5:15: \"b\" is there twice",
    );
    refused(
        &format!(
            "{process}stop_when_done = true\n[[process]]\nafter = [\"b\"]\ncommand = \"true\"\n"
        ),
        "6:10: \"b\" is stopped when the others are done, so nothing comes after it",
    );
}

#[test]
fn nothing_waits_for_itself() {
    let process = |name: &str, after: &str| {
        format!("[[process]]\nname = \"{name}\"\nafter = [\"{after}\"]\ncommand = \"true\"\n")
    };
    let (b, c, d) = (process("b", "b"), process("c", "d"), process("d", "c"));
    refused(&b, "3:10: \"b\" would wait for itself: it comes after \"b\"");
    // `e` waits for the two that wait for each other, and is not one of them.
    refused(
        &format!("{}{c}{d}", process("e", "c")),
        "7:10: \"c\" would wait for itself: it comes after \"d\", which comes after \"c\"",
    );
}

#[test]
fn a_prompt_of_a_session_does_not_wait_for_a_later_one() {
    let prompt = "[[session.prompt]]\nscript = \"say x\"\n";
    let session = "[[session]]\nname = \"s\"\nagent = \"a\"\n";
    refused(
        &format!("{AGENT}{session}{prompt}after = [\"s\"]\n{prompt}"),
        "9:10: \"s 1/2\" would wait for itself: it comes after \"s 2/2\", which comes after \"s 1/2\"",
    );
    // Through somebody else.
    let task = "[[task]]\nname = \"t\"\nagent = \"a\"\nafter = [\"s\"]\nscript = \"say x\"\n";
    refused(
        &format!("{AGENT}{session}{prompt}after = [\"t\"]\n{prompt}{task}"),
        "9:10: \"s 1/2\" would wait for itself: it comes after \"t\", which comes after \
         \"s 2/2\", which comes after \"s 1/2\"",
    );
}

#[test]
fn a_session_without_prompts_or_scripts_is_refused() {
    let session = "[[session]]\nname = \"s\"\nagent = \"a\"\n";
    refused(&format!("{AGENT}{session}"), "4:1: the session has no [[session.prompt]]");
    refused(
        &format!("{AGENT}{session}[[session.prompt]]\nprompt = \"p\"\n"),
        "7:1: there is no `script`, and `--model script` plays nothing else",
    );
    let session = session.replace("\"a\"", "\"b\"");
    refused(
        &format!("{AGENT}{session}[[session.prompt]]\nscript = \"say x\"\n"),
        "6:9: unknown agent \"b\"; the plan has: a",
    );
}

#[test]
fn an_empty_command_is_refused() {
    refused("[[process]]\ncommand = \" \"\n", "2:11: the command is empty");
}

#[test]
fn a_plan_of_nothing_is_refused() {
    let folder = Folder::new();
    let output = run_plan(&folder, AGENT, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("neither a [[task]] nor a [[session]] nor a [[process]]"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_plan_that_is_not_there_is_told_with_the_built_in_ones() {
    let output = bg(&["run", "no-such-plan"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.starts_with("bg: there is no plan \"no-such-plan\""), "{message}");
    assert!(message.contains("the built-in plans are: survey, review"), "{message}");
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    for path in ["/no/such/folder", env!("CARGO_BIN_EXE_bg")] {
        let output = bg(&["run", "survey", "--path", path]).output().unwrap();
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
        assert!(stderr(&output).starts_with("bg: cannot open the folder `"), "{}", stderr(&output));
    }
}

#[test]
fn an_unknown_model_or_option_is_refused() {
    for args in [["run", "survey", "--model=x"], ["run", "survey", "--jsn"]] {
        assert_eq!(bg(&args).output().unwrap().status.code(), Some(2));
    }
    assert_eq!(bg(&["plans", "show", "x"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_place_is_right_with_other_line_ends_and_in_a_string_on_one_line() {
    let problem =
        "in the script: unknown word \"shout\": a line begins with call, also, say or fail";
    let task = "[[task]]\nagent = \"a\"\nscript = '''\nshout x\n'''\n";
    let plan = format!("{AGENT}{task}").replace('\n', "\r\n");
    refused(&plan, &format!("7:1: {problem}"));
    let task = "[[task]]\nagent = \"a\"\nscript = \"call ListFiles {}\\nshout x\"\n";
    refused(&format!("{AGENT}{task}"), &format!("6:10: {problem}"));
}

#[test]
fn a_message_cannot_move_the_cursor() {
    let output = bg(&["run", "\u{1b}[31mred"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stderr.contains(&0x1b), "{}", stderr(&output));
}
