//! What the server says to a backend, under fuzzing: any bytes are answered, and nothing panics.

#![allow(clippy::panic, reason = "a broken promise is a panic")]

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    contract::{Opening, Reply},
    prelude::*,
};

/// What is fuzzed, by name.
#[expect(clippy::type_complexity, reason = "a name and a function")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[("plugin_call", plugin_call)];

/// A backend that has every capability and repeats what it is told.
struct Echo;

impl Backend for Echo {
    type Config = ();

    async fn open(_: (), _: Host) -> Result<Self, BackendError> {
        Ok(Self)
    }
}

impl Login for Echo {
    async fn begin(&self, request: &LoginRequest) -> Result<Step, BackendError> {
        let state =
            State::new(request).map_err(|error| BackendError::internal(error.to_string()))?;
        Ok(Step::ask_with(
            Form::password().message(&request.user_agent),
            state,
        ))
    }

    async fn resume(&self, state: &State, answer: &Answer) -> Result<Step, BackendError> {
        if state.get::<LoginRequest>().is_err() {
            return Ok(Step::denied(answer.secret("password").expose()));
        }
        Ok(Step::accept(Identity::new(answer.text("username"))))
    }
}

impl Revalidate for Echo {
    async fn revalidate(&self, identity: &IdentityRef) -> Result<Standing, BackendError> {
        Ok(Standing::gone(&identity.subject))
    }
}

impl Logout for Echo {
    async fn logout(&self, identity: &Identity) -> Result<LogoutTarget, BackendError> {
        let url = identity.issuer.clone();
        Ok(LogoutTarget { url })
    }

    async fn ended(&self, notice: &str) -> Result<Option<Ended>, BackendError> {
        let subject = Some(notice.to_owned());
        Ok(Some(Ended {
            subject,
            ..Ended::default()
        }))
    }
}

impl Health for Echo {
    async fn health(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

/// A method's name, a newline, and its message.
pub fn plugin_call(data: &[u8]) {
    let Some(at) = data.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (Ok(method), message) = (std::str::from_utf8(&data[..at]), &data[at + 1..]) else {
        return;
    };
    let methods = crate::Methods::<Echo>::default();
    let methods = methods.Login().Revalidate().Logout().Health();
    let Some(mut work) = methods.call(method, Arc::new(Echo), message.to_vec()) else {
        return;
    };
    let Poll::Ready(answer) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("there is nothing to wait for");
    };
    let reply = serde_json::from_slice::<Reply<serde_json::Value>>(&answer);
    assert!(reply.is_ok(), "not a reply");
    // The first message of all, too.
    if let Ok(opening) = serde_json::from_slice::<Opening>(message) {
        // By value: as text, a fraction may come back as its neighbour.
        let again = serde_json::to_value(&opening).and_then(serde_json::from_value);
        let again: Opening = again.unwrap_or_default();
        assert_eq!(again.name, opening.name);
        assert_eq!(again.config, opening.config);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_their_neighbours_break_no_promise() {
        omnigent_tests::fuzz::replay(super::TARGETS);
    }
}
