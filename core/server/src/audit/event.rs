//! The closed list of what can happen, under names that stay.

use std::{fmt, str::FromStr};

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $result:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Event {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, for ever the same.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// How such a thing comes out: `done` or `denied`.
            pub const fn result(self) -> &'static str {
                match self {
                    $(Self::$name => $result,)*
                }
            }
        }
    };
}

events! {
    /// Somebody signed in, or a program on their behalf.
    LoginAccepted = "login.accepted", "done";
    /// Somebody did not get in.
    LoginDenied = "login.denied", "denied";
    /// A login was ended, by its person or for them.
    LoginEnded = "login.ended", "done";
    /// Too many attempts: one was refused unseen.
    Throttled = "throttled", "denied";
    /// The operator let go of who had to wait.
    ThrottleCleared = "throttle.cleared", "done";
    /// Somebody changed their own password.
    PasswordChanged = "password.changed", "done";
    /// Somebody tried to, with a wrong old one.
    PasswordDenied = "password.denied", "denied";
    /// An account got a new password from somebody else.
    PasswordReset = "password.reset", "done";
    /// The server was claimed.
    ServerClaimed = "server.claimed", "done";
    /// Somebody tried to, without the code.
    ClaimDenied = "claim.denied", "denied";
    /// An account was made.
    AccountCreated = "account.created", "done";
    /// An account was removed.
    AccountDeleted = "account.deleted", "done";
    /// An account may act no more.
    AccountDisabled = "account.disabled", "done";
    /// An account may act again.
    AccountEnabled = "account.enabled", "done";
    /// An account may administer.
    AdminGranted = "admin.granted", "done";
    /// An account may administer no more.
    AdminRevoked = "admin.revoked", "done";
    /// The operator expects an identity for an account.
    IdentityExpected = "identity.expected", "done";
    /// An identity leads to an account from now on.
    IdentityLinked = "identity.linked", "done";
    /// An identity, or the expectation of one, was taken from an account.
    IdentityUnlinked = "identity.unlinked", "done";
    /// A backend vouched for somebody who is not let in.
    IdentityDenied = "identity.denied", "denied";
    /// A backend says that an identity does not hold any more.
    IdentityGone = "identity.gone", "done";
    /// Somebody was invited.
    InviteCreated = "invite.created", "done";
    /// An invite was used.
    InviteUsed = "invite.used", "done";
    /// An invite was not honoured.
    InviteDenied = "invite.denied", "denied";
    /// A link was made that signs somebody in.
    MagicLinkCreated = "magic_link.created", "done";
    /// Such a link was used.
    MagicLinkUsed = "magic_link.used", "done";
    /// Such a link was not honoured.
    MagicLinkDenied = "magic_link.denied", "denied";
    /// An API token was made.
    TokenCreated = "token.created", "done";
    /// An API token was replaced by another.
    TokenRotated = "token.rotated", "done";
    /// An API token was ended.
    TokenRevoked = "token.revoked", "done";
    /// A refresh token came a second time: its login was ended.
    GrantReused = "grant.reused", "denied";
    /// A command line's sign-in was approved.
    CliApproved = "cli.approved", "done";
    /// A command line's sign-in was declined.
    CliDenied = "cli.denied", "denied";
    /// A device was approved.
    DeviceApproved = "device.approved", "done";
    /// A device was declined.
    DeviceDenied = "device.denied", "denied";
    /// A device did not have the operator's client secret.
    DeviceRefused = "device.refused", "denied";
    /// A request that nobody honest sends.
    RequestForged = "request.forged", "denied";
    /// A credential that is no good, other than by its age.
    CredentialDenied = "credential.denied", "denied";
    /// Somebody asked for what they may not have.
    AccessDenied = "access.denied", "denied";
    /// A new key signs tokens.
    KeyRotated = "key.rotated", "done";
    /// A key verifies nothing any more.
    KeyRetired = "key.retired", "done";
    /// The operator reads all data: a backup or an export.
    DataRead = "data.read", "done";
    /// The operator brought a backup back, or an export in.
    DataRestored = "data.restored", "done";
    /// Another certificate was taken up.
    CertificateRenewed = "certificate.renewed", "done";
    /// A key of the configuration changed.
    ConfigChanged = "config.changed", "done";
    /// The server began to serve.
    ServerStarted = "server.started", "done";
    /// The server was stopped. A start without a stop before it follows a crash.
    ServerStopped = "server.stopped", "done";
    /// The trail begins here.
    AuditBegan = "audit.began", "done";
    /// Old entries were removed.
    AuditPruned = "audit.pruned", "done";
    /// There were more refusals than could be written.
    AuditLost = "audit.lost", "done";
}

/// There is no such event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such event")]
pub struct UnknownEvent;

impl FromStr for Event {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        let mut all = Self::ALL.iter();
        all.find(|event| event.name() == text)
            .copied()
            .ok_or(UnknownEvent)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
