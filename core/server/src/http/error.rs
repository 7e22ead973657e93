//! The three shapes of an error (CONTRACT section 1), and what of it only the log sees.
//!
//! **Invariant:** a cause never reaches the client: there is no way from it into the body.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::response::{Response, json as json_response};
use crate::{
    account::{AccountError, InvalidName, OfficeError},
    login::SignInError,
    store::StoreError,
};

/// What went wrong with a request.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    body: Value,
    retry_after: Option<u64>,
    allow: Option<String>,
    challenge: Option<&'static str>,
    cause: Option<String>,
    is_for_people: bool,
}

const INSUFFICIENT_SCOPE: &str = "Bearer realm=\"omnigent\", error=\"insufficient_scope\"";

/// One fault of a body or query.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The kind, in pydantic's words: clients match on it.
    pub kind: &'static str,
    /// Where.
    pub loc: Vec<Value>,
    /// What to do about it. Never what was sent.
    pub msg: String,
}

impl ApiError {
    fn new(status: StatusCode, body: Value) -> Self {
        let challenge = (status == StatusCode::UNAUTHORIZED).then_some("Bearer realm=\"omnigent\"");
        Self {
            status,
            body,
            retry_after: None,
            allow: None,
            challenge,
            cause: None,
            is_for_people: false,
        }
    }

    /// An error of `/v1/*`.
    pub fn v1(status: StatusCode, code: &str, message: &str) -> Self {
        Self::new(status, json!({"error": {"code": code, "message": message}}))
    }

    /// `/v1/*`: no good credential.
    pub fn unauthorized() -> Self {
        Self::v1(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Authentication required",
        )
    }

    /// `/v1/*`: some right, but too little.
    pub fn forbidden(message: &str) -> Self {
        Self::v1(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// `/v1/*`: not there, or not yours.
    pub fn not_found(message: &str) -> Self {
        Self::v1(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// `/v1/*`: of the right shape, but not possible.
    pub fn invalid_input(message: &str) -> Self {
        Self::v1(StatusCode::BAD_REQUEST, "invalid_input", message)
    }

    /// An error of `/auth/*` and `/oauth/*`.
    pub fn auth(status: StatusCode, text: &str) -> Self {
        Self::new(status, json!({"error": text}))
    }

    /// An error about the request itself.
    pub fn detail(status: StatusCode, text: &str) -> Self {
        Self::new(status, json!({"detail": text}))
    }

    /// The faults of a body or query (422).
    pub fn shape(faults: &[Fault]) -> Self {
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| json!({"type": fault.kind, "loc": fault.loc, "msg": fault.msg}))
            .collect();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, json!({"detail": faults}))
    }

    /// 422: what is in this member cannot be the name of an account.
    pub fn no_name(member: &str) -> Self {
        Self::shape(&[Fault {
            kind: "string_pattern_mismatch",
            loc: vec!["body".into(), member.into()],
            msg: InvalidName::Grammar.to_string(),
        }])
    }

    /// 405, with what is allowed.
    pub fn method_not_allowed(allow: String) -> Self {
        let mut error = Self::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        error.allow = Some(allow);
        error
    }

    /// 503: try again after so many seconds.
    pub fn busy(seconds: u64) -> Self {
        let mut error = Self::auth(
            StatusCode::SERVICE_UNAVAILABLE,
            "the server is busy; try again in a moment",
        );
        error.retry_after = Some(seconds);
        error
    }

    /// 429: try again after so many seconds.
    pub fn throttled(seconds: u64) -> Self {
        let mut error = Self::auth(
            StatusCode::TOO_MANY_REQUESTS,
            "too many attempts; try again later",
        );
        error.retry_after = Some(seconds);
        error
    }

    /// 429 with a code of OAuth's.
    pub fn slow_down(seconds: u64) -> Self {
        let mut error = Self::auth(StatusCode::TOO_MANY_REQUESTS, "slow_down");
        error.retry_after = Some(seconds);
        error
    }

    /// 503: something the answer depends on cannot tell.
    pub fn unavailable(text: &str, cause: impl ToString) -> Self {
        let mut error = Self::auth(StatusCode::SERVICE_UNAVAILABLE, text);
        error.retry_after = Some(5);
        error.cause = Some(cause.to_string());
        error
    }

    /// 500: a fault of ours.
    pub fn internal(cause: impl ToString) -> Self {
        let mut error = Self::v1(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Internal server error",
        );
        error.cause = Some(cause.to_string());
        error
    }

    /// The same, saying that the presented credential is bad (RFC 6750 section 3).
    #[must_use]
    pub fn bad_credential(mut self) -> Self {
        self.challenge = Some("Bearer realm=\"omnigent\", error=\"invalid_token\"");
        self
    }

    /// The same, saying that the credential is good and reaches less far (RFC 6750 section 3.1).
    #[must_use]
    pub fn insufficient_scope(mut self) -> Self {
        self.challenge = Some(INSUFFICIENT_SCOPE);
        self
    }

    /// The same, of a page: whoever asked sees a page, whatever they say they accept.
    #[must_use]
    pub const fn for_people(mut self) -> Self {
        self.is_for_people = true;
        self
    }

    /// Whether it is to be shown as a page.
    pub const fn is_for_people(&self) -> bool {
        self.is_for_people
    }

    /// After how many seconds to try again.
    pub const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// What only the log sees.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The text people read.
    pub fn text(&self) -> &str {
        let text = [
            &self.body["error"],
            &self.body["detail"],
            &self.body["error"]["message"],
        ];
        text.into_iter()
            .find_map(Value::as_str)
            .unwrap_or("the form is not filled in correctly")
    }

    /// The same error in the shape of `path`: what the domain refuses is told alike, but `/v1/*` and
    /// `/oauth/*` have a code beside the text.
    #[must_use]
    pub fn shaped_for(mut self, path: &str) -> Self {
        let is_v1 = path.starts_with("/v1/");
        let text = match &self.body["error"] {
            Value::String(text) => text,
            Value::Object(error) if !is_v1 => error["message"].as_str().unwrap_or_default(),
            _ => return self,
        };
        self.body = if is_v1 {
            json!({"error": {"code": code(self.status), "message": text}})
        } else if path.starts_with("/oauth/") && !is_code(text) {
            let code = match self.challenge {
                Some(INSUFFICIENT_SCOPE) => "insufficient_scope",
                _ => oauth_code(self.status),
            };
            json!({"error": code, "error_description": described(text)})
        } else {
            json!({"error": text})
        };
        self
    }

    /// The answer.
    pub fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body);
        self.copy_headers(&mut response);
        response
    }

    /// Gives an answer made otherwise the headers of this one.
    pub(super) fn copy_headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(Ok(allow)) = self.allow.as_deref().map(HeaderValue::from_str) {
            headers.insert(header::ALLOW, allow);
        }
        if let Some(challenge) = self.challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
    }
}

/// The code `/v1/*` has for a status (CONTRACT section 1).
const fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::CONFLICT => "conflict",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        StatusCode::INTERNAL_SERVER_ERROR => "internal_error",
        _ => "invalid_input",
    }
}

/// The code OAuth endpoints have for a status (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section
/// 3.5).
const fn oauth_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "access_denied",
        StatusCode::TOO_MANY_REQUESTS => "slow_down",
        StatusCode::SERVICE_UNAVAILABLE => "temporarily_unavailable",
        StatusCode::INTERNAL_SERVER_ERROR => "server_error",
        _ => "invalid_request",
    }
}

fn is_code(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// A text as `error_description` may have it (RFC 6749 section 5.2).
fn described(text: &str) -> String {
    let may_stand = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    text.chars().filter(may_stand).collect()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::busy(1),
            StoreError::SnapshotTaken | StoreError::SnapshotLost => {
                Self::auth(StatusCode::CONFLICT, &error.to_string())
            }
            StoreError::Full | StoreError::ReadOnly | StoreError::Closed => {
                Self::unavailable("the server cannot write right now", error)
            }
            error => Self::internal(error),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let status = match &error {
            AccountError::Store(_) => {
                let AccountError::Store(error) = error else {
                    return Self::internal("unreachable");
                };
                return error.into();
            }
            AccountError::Name(InvalidName::Grammar) => return Self::no_name("username"),
            AccountError::NameTaken
            | AccountError::IdentityTaken
            | AccountError::AnotherSubject
            | AccountError::AlreadySetUp
            | AccountError::Collision => StatusCode::CONFLICT,
            AccountError::NotFound => StatusCode::NOT_FOUND,
            AccountError::Disabled | AccountError::Ended => StatusCode::UNAUTHORIZED,
            AccountError::NotAdmitted
            | AccountError::NotAdmin
            | AccountError::Domain(_)
            | AccountError::Group
            | AccountError::Reserved(_) => StatusCode::FORBIDDEN,
            AccountError::Name(_)
            | AccountError::LastAdmin
            | AccountError::Invite
            | AccountError::Magic => StatusCode::BAD_REQUEST,
        };
        Self::auth(status, &error.to_string())
    }
}

impl From<OfficeError> for ApiError {
    fn from(error: OfficeError) -> Self {
        let status = match error {
            OfficeError::Account(error) => return error.into(),
            OfficeError::Busy => return Self::busy(2),
            OfficeError::Unavailable(cause) => {
                return Self::unavailable("the backend that keeps passwords is unavailable", cause);
            }
            OfficeError::Closed | OfficeError::SetupCode => StatusCode::FORBIDDEN,
            OfficeError::WrongPassword => StatusCode::UNAUTHORIZED,
            OfficeError::NoDirectory
            | OfficeError::NoPassword
            | OfficeError::PasswordRefused(_) => StatusCode::BAD_REQUEST,
        };
        Self::auth(status, &error.to_string())
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        let status = match error {
            // Not what the person typed, but what a backend says they are called.
            SignInError::Account(AccountError::Name(InvalidName::Grammar)) => {
                let text = "the name of this identity cannot be the name of an account";
                return Self::auth(StatusCode::FORBIDDEN, text);
            }
            SignInError::Account(error) => return error.into(),
            SignInError::Store(error) => return error.into(),
            SignInError::Busy => return Self::busy(2),
            SignInError::Throttled(throttled) => {
                return Self::throttled(throttled.retry_after_seconds);
            }
            SignInError::Unavailable(cause) => {
                return Self::unavailable(
                    "this way of signing in is unavailable; try again later",
                    cause,
                );
            }
            SignInError::Denied => StatusCode::UNAUTHORIZED,
            SignInError::Refused(_) => StatusCode::FORBIDDEN,
            SignInError::Expired => StatusCode::GONE,
            SignInError::NoBackend => StatusCode::NOT_FOUND,
        };
        Self::auth(status, &error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: ApiError, path: &str) -> Value {
        error.shaped_for(path).body
    }

    #[test]
    fn an_oauth_endpoint_tells_codes_and_describes_them() {
        for (error, code, text) in [
            (
                ApiError::busy(1),
                "temporarily_unavailable",
                "the server is busy; try again in a moment",
            ),
            (
                ApiError::unavailable("a \"text\"\\ of\u{e9}\n", "cause"),
                "temporarily_unavailable",
                "a text of",
            ),
            (
                ApiError::internal("cause"),
                "server_error",
                "Internal server error",
            ),
            (
                ApiError::throttled(9),
                "slow_down",
                "too many attempts; try again later",
            ),
            (
                ApiError::auth(StatusCode::FORBIDDEN, "admin only"),
                "access_denied",
                "admin only",
            ),
            (
                ApiError::auth(StatusCode::FORBIDDEN, "too little").insufficient_scope(),
                "insufficient_scope",
                "too little",
            ),
            (
                ApiError::auth(StatusCode::BAD_REQUEST, "not like that"),
                "invalid_request",
                "not like that",
            ),
        ] {
            let expected = json!({"error": code, "error_description": text});
            assert_eq!(told(error, "/oauth/token"), expected);
        }
    }

    #[test]
    fn what_is_a_code_already_or_about_the_request_itself_stays() {
        for code in ["invalid_grant", "slow_down", "unauthorized"] {
            let error = ApiError::auth(StatusCode::BAD_REQUEST, code);
            assert_eq!(told(error, "/oauth/token"), json!({"error": code}));
        }
        let error = ApiError::detail(StatusCode::NOT_FOUND, "Not Found");
        assert_eq!(told(error, "/oauth/device"), json!({"detail": "Not Found"}));
    }

    #[test]
    fn elsewhere_the_text_is_the_error() {
        for path in ["/auth/login", "/oauthx", "/auth/oauth/token"] {
            let error = ApiError::internal("cause");
            assert_eq!(told(error, path), json!({"error": "Internal server error"}));
        }
        let error = ApiError::auth(StatusCode::FORBIDDEN, "admin only");
        let expected = json!({"error": {"code": "forbidden", "message": "admin only"}});
        assert_eq!(told(error, "/v1/sessions"), expected);
    }
}
