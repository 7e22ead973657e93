//! The door for fuzzing: what this command reads of files and people. Not part of the command.

pub use crate::client::{address_fuzz::cli_address, vault::fuzz::cli_vault};

/// What is fuzzed, by name.
#[expect(clippy::type_complexity, reason = "a name and a function")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[("cli_address", cli_address), ("cli_vault", cli_vault)];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_their_neighbours_break_no_promise() {
        omnigent_tests::fuzz::replay(super::TARGETS);
    }
}
