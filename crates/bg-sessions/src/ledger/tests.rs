//! Each thing is added once, however it is reported.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn id(number: u64) -> TaskId {
    format!("agent:{number}").parse().unwrap()
}

fn tokens(input_tokens: u64) -> Usage {
    let mut usage = Usage::default();
    (usage.input_tokens, usage.requests) = (input_tokens, 1);
    usage
}

fn output(usage: Usage) -> Output {
    Output::text("done").with_usage(usage)
}

#[test]
fn turns_and_calls_are_added_by_name() {
    let mut ledger = Ledger::default();
    ledger.turn("large", &tokens(10));
    ledger.turn("small", &tokens(1));
    ledger.turn("large", &tokens(10));
    ledger.tool("Read", true);
    ledger.tool("Read", false);
    let total = ledger.total();
    assert_eq!((total.input_tokens, total.requests, total.tool_calls), (21, 3, 2));
    assert_eq!(ledger.by().models["large"].input_tokens, 20);
    assert_eq!((ledger.by().tools["Read"].calls, ledger.by().tools["Read"].failed), (2, 1));
    let mut output = Output::text("done").with_usage(tokens(99));
    ledger.write(&mut output);
    assert_eq!((output.usage(), output.breakdown()), (total, Some(ledger.by())));
}

#[test]
fn an_end_that_is_told_twice_and_a_report_after_it_add_nothing() {
    let mut ledger = Ledger::default();
    ledger.child(id(3), &tokens(60), None);
    ledger.settle(id(3), Some(&output(tokens(100))));
    ledger.settle(id(3), Some(&output(tokens(100))));
    ledger.child(id(3), &tokens(100), None);
    ledger.child(id(3), &tokens(500), None);
    assert_eq!(ledger.total(), tokens(100));
    assert!(ledger.open.is_empty());
}

#[test]
fn a_child_that_ends_with_less_than_it_reported_has_cost_what_it_reported() {
    let mut ledger = Ledger::default();
    ledger.child(id(3), &tokens(60), None);
    ledger.settle(id(3), None);
    ledger.child(id(4), &tokens(60), None);
    ledger.settle(id(4), Some(&output(tokens(10))));
    assert_eq!(ledger.total().input_tokens, 120);
}

#[test]
fn children_beyond_those_with_marks_are_added_at_their_end() {
    let mut ledger = Ledger::default();
    let many = MAX_OPEN as u64 + 100;
    for number in 1..=many {
        ledger.child(id(number), &tokens(1), None);
        ledger.child(id(number), &tokens(2), None);
    }
    assert_eq!(ledger.open.len(), MAX_OPEN);
    assert_eq!(ledger.total().input_tokens, 2 * MAX_OPEN as u64);
    for number in 1..=many {
        ledger.settle(id(number), Some(&output(tokens(3))));
    }
    assert_eq!(ledger.total().input_tokens, 3 * many);
    assert!(ledger.open.is_empty());
    assert_eq!(ledger.settled.0, BTreeMap::from([(1, many)]));
}

#[test]
fn past_so_many_gaps_nothing_is_added_twice_and_an_open_child_is_not_lost() {
    let mut ledger = Ledger::default();
    ledger.child(id(2), &tokens(5), None);
    let odd = || (1..20_000).step_by(2);
    for number in odd() {
        ledger.settle(id(number), Some(&output(tokens(1))));
    }
    assert_eq!(ledger.settled.0.len(), MAX_RANGES);
    let settled = odd().count() as u64;
    assert_eq!(ledger.total().input_tokens, settled + 5);
    for number in odd() {
        ledger.child(id(number), &tokens(2), None);
        ledger.settle(id(number), Some(&output(tokens(2))));
    }
    assert_eq!(ledger.total().input_tokens, settled + 5);
    // Its number is in a gap that was closed.
    ledger.child(id(2), &tokens(7), None);
    ledger.settle(id(2), Some(&output(tokens(8))));
    ledger.settle(id(2), Some(&output(tokens(9))));
    assert_eq!(ledger.total().input_tokens, settled + 8);
    // What was not known is taken for settled, as long as its gap is closed.
    ledger.child(id(4), &tokens(1), None);
    ledger.child(id(19_998), &tokens(1), None);
    assert_eq!(ledger.total().input_tokens, settled + 9);
}

#[test]
fn counts_stay_at_the_largest_number() {
    let mut ledger = Ledger::default();
    ledger.turn("large", &tokens(u64::MAX));
    ledger.child(id(3), &tokens(u64::MAX), None);
    ledger.child(id(3), &tokens(u64::MAX), None);
    ledger.spent.total.tool_calls = u64::MAX;
    ledger.tool("Read", true);
    assert_eq!(ledger.total().input_tokens, u64::MAX);
    assert_eq!(ledger.total().tool_calls, u64::MAX);
    // The ends of the numbers have neighbours on one side only.
    for number in [u64::MAX, 1, u64::MAX - 1, 2] {
        ledger.settle(id(number), None);
    }
    assert_eq!(ledger.settled.0, BTreeMap::from([(1, 2), (u64::MAX - 1, u64::MAX)]));
}

const MODELS: [&str; 3] = ["large", "small", "tiny"];
const TOOLS: [&str; 3] = ["Read", "Bash", "SA_explore"];

/// What happens in a tree of runs; a node is picked by a number of any size.
#[derive(Clone, Debug)]
enum Op {
    Turn {
        node: usize,
        model: usize,
        usage: Usage,
    },
    Tool {
        node: usize,
        tool: usize,
        success: bool,
    },
    /// It reports what it has cost so far. The report is under way until it is delivered.
    Report {
        node: usize,
    },
    /// Its owner gets one of its reports, any of them, perhaps again.
    Deliver {
        node: usize,
        which: usize,
    },
    /// It ends with all that its ledger says, and its owner is told.
    Settle {
        node: usize,
    },
}

fn any_usage() -> impl Strategy<Value = Usage> {
    let count = || prop_oneof![20 => 0..1000_u64, 1 => Just(u64::MAX)];
    (count(), count(), count(), 0..3_u64).prop_map(|(input, output, cached, requests)| {
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (input, output);
        (usage.cached_tokens, usage.requests) = (cached, requests);
        usage
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    let node = || any::<usize>();
    prop_oneof![
        4 => (node(), 0..MODELS.len(), any_usage())
            .prop_map(|(node, model, usage)| Op::Turn { node, model, usage }),
        3 => (node(), 0..TOOLS.len(), any::<bool>())
            .prop_map(|(node, tool, success)| Op::Tool { node, tool, success }),
        4 => node().prop_map(|node| Op::Report { node }),
        6 => (node(), any::<usize>()).prop_map(|(node, which)| Op::Deliver { node, which }),
        1 => node().prop_map(|node| Op::Settle { node }),
    ]
}

/// A run of the tree, and what it is meant to add up.
#[derive(Default)]
struct Node {
    owner: usize,
    ledger: Ledger,
    reports: Vec<Output>,
    ended: bool,
}

/// Runs that report to each other, and a plain sum of all that they spent.
struct Tree {
    nodes: Vec<Node>,
    spent: Usage,
    by: Breakdown,
}

impl Tree {
    fn new(owners: &[usize]) -> Self {
        let mut nodes = vec![Node::default()];
        for owner in owners {
            nodes.push(Node { owner: owner % nodes.len(), ..Node::default() });
        }
        Self { nodes, spent: Usage::default(), by: Breakdown::default() }
    }

    fn apply(&mut self, op: &Op) {
        let (Op::Turn { node, .. }
        | Op::Tool { node, .. }
        | Op::Report { node }
        | Op::Deliver { node, .. }
        | Op::Settle { node }) = op;
        let node = node % self.nodes.len();
        match op {
            Op::Deliver { which, .. } => self.deliver(node, *which),
            _ if self.nodes[node].ended => {}
            Op::Turn { model, usage, .. } => {
                self.nodes[node].ledger.turn(MODELS[*model], usage);
                self.spent.add(usage);
                self.by.add_turn(MODELS[*model], usage);
            }
            Op::Tool { tool, success, .. } => {
                self.nodes[node].ledger.tool(TOOLS[*tool], *success);
                self.spent.tool_calls = self.spent.tool_calls.saturating_add(1);
                self.by.add_call(TOOLS[*tool], *success);
            }
            Op::Report { .. } => self.report(node),
            Op::Settle { .. } => self.settle(node),
        }
    }

    fn report(&mut self, node: usize) {
        let mut report = Output::default();
        self.nodes[node].ledger.write(&mut report);
        self.nodes[node].reports.push(report);
    }

    fn deliver(&mut self, node: usize, which: usize) {
        let Node { owner, reports, .. } = &self.nodes[node];
        if node == 0 || reports.is_empty() {
            return;
        }
        let (owner, report) = (*owner, reports[which % reports.len()].clone());
        let ledger = &mut self.nodes[owner].ledger;
        ledger.child(id(node as u64), &report.usage(), report.breakdown());
    }

    /// An owner ends after its children.
    fn settle(&mut self, node: usize) {
        if node == 0 || self.nodes[node].ended {
            return;
        }
        for child in node + 1..self.nodes.len() {
            if self.nodes[child].owner == node {
                self.settle(child);
            }
        }
        self.report(node);
        let Node { owner, reports, ended, .. } = &mut self.nodes[node];
        *ended = true;
        let (owner, last) = (*owner, reports.last().cloned());
        self.nodes[owner].ledger.settle(id(node as u64), last.as_ref());
    }
}

proptest! {
    #[test]
    fn a_tree_that_reports_in_any_order_adds_up_to_what_was_spent(
        owners in prop::collection::vec(any::<usize>(), 0..10),
        ops in prop::collection::vec(any_op(), 0..200),
        late in prop::collection::vec(any_op(), 0..50),
    ) {
        let mut tree = Tree::new(&owners);
        for op in &ops {
            let before = tree.nodes[0].ledger.total();
            tree.apply(op);
            let after = tree.nodes[0].ledger.total();
            prop_assert!(after.input_tokens >= before.input_tokens);
            prop_assert!(after.input_tokens <= tree.spent.input_tokens);
        }
        for node in 1..tree.nodes.len() {
            tree.settle(node);
        }
        for op in late.iter().filter(|op| matches!(op, Op::Deliver { .. })) {
            tree.apply(op);
        }
        prop_assert_eq!(tree.nodes[0].ledger.total(), tree.spent);
        prop_assert_eq!(tree.nodes[0].ledger.by(), &tree.by);
        prop_assert!(tree.nodes.iter().all(|node| node.ledger.open.is_empty()));
    }

    #[test]
    fn ranges_hold_the_numbers_that_were_put_in(
        numbers in prop::collection::vec(0..100_u64, 0..200),
    ) {
        let (mut ranges, mut reference) = (Numbers::default(), BTreeSet::new());
        for number in numbers {
            ranges.insert(number);
            reference.insert(number);
        }
        for asked in 0..=101 {
            prop_assert_eq!(ranges.contains(asked), reference.contains(&asked));
        }
        let gaps = reference.iter().filter(|&&number| !reference.contains(&(number + 1))).count();
        prop_assert_eq!(ranges.0.len(), gaps);
    }
}
