//! By what somebody claims a server that nobody owns yet.

/// By what somebody claims the server.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The setup code, as it was typed.
    pub code: Option<&'a str>,
    /// Whether they are on this machine.
    pub is_here: bool,
}
