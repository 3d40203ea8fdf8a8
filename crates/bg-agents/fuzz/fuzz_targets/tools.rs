//! Any bytes as the life of tasks and as calls of tools; see the driver.
#![no_main]

#[path = "../../tests/support/driver.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    driver::play(data);
});
