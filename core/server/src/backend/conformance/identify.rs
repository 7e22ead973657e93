//! The fast lane: nobody is recognised by what anybody could have sent.

use std::time::{Duration, Instant};

use omnigent_plugin::Verdict;

use super::{
    super::{CallError, Header, Instance, Presented},
    Report, fault,
};

/// Longest one call may take here: a thousand times what it should.
const MOST: Duration = Duration::from_millis(50);

pub(super) fn cases(report: &mut Report, backend: &Instance) {
    report.note("a bare request is not its own", bare(backend));
    report.note(
        "headers of a stranger are never believed",
        strangers(backend),
    );
    report.note("hostile headers do not break it", hostile(backend));
}

fn identify(
    backend: &Instance,
    headers: &[Header<'_>],
    trusted: bool,
) -> Result<Verdict, CallError> {
    backend.identify(&Presented {
        method: "GET",
        path: "/v1/me",
        peer: "192.0.2.7",
        headers,
        is_from_trusted_proxy: trusted,
        client_certificate: None,
    })
}

fn bare(backend: &Instance) -> Result<(), String> {
    for trusted in [false, true] {
        match identify(backend, &[], trusted) {
            Ok(Verdict::NotMine) => {}
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}

/// Headers proxies vouch in, and names that look like them.
const NAMES: [&str; 14] = [
    "x-forwarded-email",
    "x-forwarded-user",
    "x_forwarded_email",
    "x-auth-request-email",
    "remote-user",
    "x-remote-user",
    "x-webauth-user",
    "cf-access-jwt-assertion",
    "x-goog-iap-jwt-assertion",
    "x-amzn-oidc-data",
    "x-pomerium-jwt-assertion",
    "authorization",
    "cookie",
    "x-jwt",
];

const VALUES: [&[u8]; 7] = [
    b"admin@example.com",
    b"admin",
    b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsImVtYWlsIjoiYUBiLmMifQ.",
    b"a,b",
    b"",
    b"\xff\xfe\x00",
    b"local",
];

fn strangers(backend: &Instance) -> Result<(), String> {
    for name in NAMES {
        for value in VALUES {
            let header = [Header::new(name, value)];
            if let Ok(Verdict::Accepted(identity)) = identify(backend, &header, false) {
                return Err(format!(
                    "{name} from anybody makes them {:?}",
                    identity.subject
                ));
            }
        }
    }
    Ok(())
}

/// The quickest of three tries: what waits does so every time, a busy machine does not.
fn quickest(backend: &Instance, headers: &[Header<'_>]) -> (Result<Verdict, CallError>, Duration) {
    let once = || {
        let began = Instant::now();
        let outcome = identify(backend, headers, true);
        (outcome, began.elapsed())
    };
    let tries = [once(), once(), once()];
    let quickest = tries.into_iter().min_by_key(|(_, took)| *took);
    quickest.unwrap_or((Ok(Verdict::NotMine), Duration::MAX))
}

fn hostile(backend: &Instance) -> Result<(), String> {
    let long = vec![b'x'; 60_000];
    let many: Vec<_> = (0..1000)
        .map(|_| Header::new("x-forwarded-email", b"a@b.c"))
        .collect();
    let lists: Vec<Vec<Header<'_>>> = NAMES
        .iter()
        .map(|name| vec![Header::new(name, &long)])
        .chain([many])
        .chain(
            NAMES
                .iter()
                .map(|name| vec![Header::new(name, b"a@b.c"), Header::new(name, b"d@e.f")]),
        )
        .collect();
    for headers in lists {
        let (outcome, took) = quickest(backend, &headers);
        if let Err(error) = &outcome
            && let Some(fault) = fault(error)
        {
            return Err(fault);
        }
        if took > MOST {
            return Err(format!("it took {took:?}: a call must not wait"));
        }
        if headers.len() > 1 && matches!(outcome, Ok(Verdict::Accepted(_))) {
            return Err("of several lines of one header it picks one".into());
        }
    }
    Ok(())
}
