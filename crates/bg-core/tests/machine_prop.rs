//! Short sequences of operations on the registry and on a reference, compared in full after each
//! one. A failure is shrunk to the operations that it needs; for volume see `machine_random.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use model::{Op, Setup, World};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::model;

/// What proptest needs to know of the reference: nothing but its setup, since an operation is
/// valid in every state. The reference itself lives beside the registry in [`World`].
struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Setup;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Setup> {
        any::<u64>().prop_map(Setup::of).boxed()
    }

    fn transitions(_: &Setup) -> BoxedStrategy<Op> {
        any::<[u16; 4]>().prop_map(Op::of).boxed()
    }

    fn apply(setup: Setup, _: &Op) -> Setup {
        setup
    }
}

struct Registry;

impl StateMachineTest for Registry {
    type SystemUnderTest = World;
    type Reference = Machine;

    fn init_test(setup: &Setup) -> World {
        World::new(*setup)
    }

    fn apply(mut world: World, _: &Setup, op: Op) -> World {
        world.apply(op);
        world
    }

    fn check_invariants(world: &World, _: &Setup) {
        world.compare();
    }

    fn teardown(world: World, _: Setup) {
        world.finish();
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        // A seed that failed is repeated by its operations, which are printed.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_registry_and_the_reference_agree_after_every_operation(sequential 1..200 => Registry);
}
