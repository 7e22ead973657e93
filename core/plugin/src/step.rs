//! The words of a sign-in conversation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Identity, Password};

/// What a backend wants next, or how the conversation ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Ask the person these things.
    Ask {
        /// What to ask.
        form: Form,
        /// What the backend wants back with the answer.
        #[serde(default)]
        state: State,
    },
    /// Send the person to a URL; they come back to the callback URL.
    Redirect {
        /// Where to.
        url: String,
        /// What the backend wants back with the answer.
        #[serde(default)]
        state: State,
    },
    /// The person is who they say.
    Accept(Identity),
    /// The person may not come in.
    Denied {
        /// Why, for the log only: people are told nothing they could learn from.
        #[serde(default)]
        reason: String,
        /// What the person may be told instead of "denied": nothing a stranger could learn from.
        #[serde(default)]
        message: Option<String>,
    },
    /// The backend does not know the person; another one may.
    NotMine,
}

impl Step {
    /// Asks, with nothing to remember.
    pub fn ask(form: Form) -> Self {
        Self::Ask {
            form,
            state: State::default(),
        }
    }

    /// Asks, and remembers `state` until the answer comes.
    pub fn ask_with(form: Form, state: State) -> Self {
        Self::Ask { form, state }
    }

    /// Sends the person away, and remembers `state` until they come back.
    pub fn redirect(url: impl Into<String>, state: State) -> Self {
        Self::Redirect {
            url: url.into(),
            state,
        }
    }

    /// The person is who they say.
    pub const fn accept(identity: Identity) -> Self {
        Self::Accept(identity)
    }

    /// The person may not come in; `reason` is for the log.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::Denied {
            reason: reason.into(),
            message: None,
        }
    }

    /// The person may not come in and is told `message`; `reason` is for the log.
    pub fn refused(message: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Denied {
            reason: reason.into(),
            message: Some(message.into()),
        }
    }
}

/// What a backend wants to remember between two steps. The server keeps it; nobody else sees it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State(serde_json::Value);

impl State {
    /// Remembers `value`.
    ///
    /// # Errors
    /// When it does not serialise as JSON.
    pub fn new(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(Self)
    }

    /// What was remembered.
    ///
    /// # Errors
    /// When it was something else.
    pub fn get<T: for<'de> Deserialize<'de>>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.0)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State(…)")
    }
}

/// What to ask a person. The server renders it as a page, a terminal prompt or JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Form {
    /// A heading, if the usual one will not do.
    pub title: Option<String>,
    /// A sentence above the fields.
    pub message: Option<String>,
    /// The fields, in order.
    pub fields: Vec<Field>,
}

impl Form {
    /// User name and password.
    pub fn password() -> Self {
        Self::default()
            .field(Field::new("username", "Username", FieldKind::Text).autocomplete("username"))
            .field(
                Field::new("password", "Password", FieldKind::Password)
                    .autocomplete("current-password"),
            )
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// With a sentence above the fields.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Whether it asks for `username` and `password` and requires nothing else.
    pub fn is_password(&self) -> bool {
        let required = |name| self.fields.iter().any(|field| field.name == name);
        required("username")
            && required("password")
            && self
                .fields
                .iter()
                .all(|f| !f.required || f.name == "username" || f.name == "password")
    }
}

/// One thing to ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name in the [`Answer`].
    pub name: String,
    /// What people read.
    #[serde(default)]
    pub label: String,
    /// What kind of thing.
    #[serde(default)]
    pub kind: FieldKind,
    /// Whether it must be answered.
    #[serde(default = "yes")]
    pub required: bool,
    /// The HTML `autocomplete` token, so that password managers know.
    #[serde(default)]
    pub autocomplete: Option<String>,
    /// What there is to choose from, for [`FieldKind::Choice`].
    #[serde(default)]
    pub choices: Vec<String>,
    /// The longest answer, in characters.
    #[serde(default = "long")]
    pub max_length: u32,
}

const fn yes() -> bool {
    true
}

const fn long() -> u32 {
    1024
}

impl Field {
    /// A required field.
    pub fn new(name: impl Into<String>, label: impl Into<String>, kind: FieldKind) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            kind,
            required: true,
            autocomplete: None,
            choices: Vec::new(),
            max_length: long(),
        }
    }

    /// With an HTML `autocomplete` token.
    #[must_use]
    pub fn autocomplete(mut self, token: impl Into<String>) -> Self {
        self.autocomplete = Some(token.into());
        self
    }

    /// That need not be answered.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.required = false;
        self
    }
}

/// What kind of thing is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A line of text.
    Text,
    /// A secret: never shown, never logged.
    Password,
    /// A one-time code.
    Otp,
    /// One of several. A newer kind is asked as text.
    Choice,
    /// A kind this version does not know: asked as text.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What a person answered.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Field by field.
    pub fields: BTreeMap<String, String>,
    /// The query the person came back with, after a redirect.
    pub callback: BTreeMap<String, String>,
}

impl Answer {
    /// The answer to [`Form::password`].
    pub fn password(username: &str, password: &str) -> Self {
        let fields = [("username", username), ("password", password)];
        Self {
            fields: fields
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            callback: BTreeMap::new(),
        }
    }

    /// A field's text; empty when it was not answered.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field's secret; empty when it was not answered.
    pub fn secret(&self, name: &str) -> Password {
        Password::new(self.text(name))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.fields.keys()).finish()
    }
}

/// Who wants to sign in, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoginRequest {
    /// The client's address.
    pub client_address: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// Where people come back to after a redirect.
    pub callback_url: String,
    /// What has to come back with them, unguessable and good for this sign-in only: OAuth's
    /// `state`, SAML's `RelayState`. Put it into the URL of [`Step::Redirect`].
    pub return_state: String,
    /// What for.
    pub purpose: Purpose,
}

/// What a conversation is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To sign in.
    #[default]
    SignIn,
    /// To prove once more who one is, before something grave.
    Reauthenticate,
    /// To link another identity to one's account.
    Link,
    /// Something this version does not know.
    #[serde(other)]
    Other,
}

/// What an issuer says has ended: a person's session there, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// As in [`Identity::issuer`].
    pub issuer: Option<String>,
    /// As in [`Identity::subject`], if the issuer named one.
    pub subject: Option<String>,
    /// As in [`Identity::session`]; nothing for all of the person's.
    pub session: Option<String>,
}

/// Where to send somebody who signs out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogoutTarget {
    /// A URL, if there is one.
    pub url: Option<String>,
}
