use http::StatusCode;

use crate::userinfo::read;

fn told(body: &str) -> Result<(), String> {
    read(
        StatusCode::OK,
        "application/json; charset=utf-8",
        body.as_bytes(),
        "alice",
    )
    .map(drop)
}

#[test]
fn what_is_said_of_the_same_person_counts() {
    assert_eq!(told(r#"{"sub":"alice","email":"a@example.com"}"#), Ok(()));
}

#[test]
fn what_is_said_of_somebody_else_does_not() {
    for body in [
        r#"{"sub":"bob"}"#,
        r#"{"sub":"Alice"}"#,
        r#"{"sub":"alice "}"#,
        r#"{"sub":""}"#,
        "{}",
        r#"{"sub":["alice"]}"#,
        r#"{"sub":7}"#,
        r#"{"sub":null}"#,
        r#"{"sub":"bob","sub":"alice"}"#,
        "[]",
        "",
        "<html>",
    ] {
        assert!(told(body).is_err(), "{body}");
    }
}

#[test]
fn a_refusal_and_a_token_are_no_answer() {
    let body = br#"{"sub":"alice"}"#;
    for status in [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NO_CONTENT,
    ] {
        assert!(read(status, "application/json", body, "alice").is_err());
    }
    assert!(read(StatusCode::OK, "application/JWT", body, "alice").is_err());
}
