//! What a request with a credential costs.

use std::sync::Arc;

use super::{Contender, HEADER, House, login, refresh, text, with_each, with_token};
use crate::{
    Plan,
    fill::Scale,
    load::request,
    process,
    server::{Outcome, Process},
};

/// What a bearer request costs, with a million revoked ids.
pub async fn bearer(plan: Plan) -> Outcome<()> {
    let mut house = House::new()?;
    let firsts = 200_000;
    let mut tokens = house.fill(
        Scale {
            revoked: 1_000_000,
            ..Scale::default()
        },
        10_001 + firsts,
    )?;
    let unseen = with_each(&tokens.split_off(10_001));
    let many = with_each(&tokens.split_off(1));
    let one = with_each(&tokens);
    let server = house.server()?;
    let proxied = tempfile::tempdir()?;
    let header = Process::omnigent(&proxied.path().join("data"), HEADER)?;
    let says = request(
        "GET",
        "/v1/me",
        &[("x-forwarded-email", "ada@example.com")],
        "",
    );
    let bare = Process::peer("serve-bare")?;
    let axum = Process::peer("serve-axum")?;
    let claims = crate::peers::Claims {
        sub: "admin".into(),
        exp: 4_000_000_000,
        iss: "bench".into(),
    };
    let key = jsonwebtoken::EncodingKey::from_secret(crate::peers::SECRET);
    let theirs = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
    let cli = login(server.port)?;
    let renewal = vec![refresh(&text(&cli["refresh_token"]), &text(&cli["token"]))];
    let mut base = Contender::new("bare hyper, a constant", &bare, Arc::clone(&one));
    let mut others = [
        Contender::new(
            "bare hyper, sent the 10 000 in rotation",
            &bare,
            Arc::clone(&many),
        ),
        Contender::new(
            "bare hyper, sent those never seen before",
            &bare,
            Arc::clone(&unseen),
        ),
        Contender::new("axum + jsonwebtoken", &axum, vec![with_token(&theirs)]),
        Contender::new("omnigent, one token", server, one),
        Contender::new("omnigent, 10 000 tokens in rotation", server, many),
        Contender::new("omnigent, tokens never seen before", server, unseen),
        Contender::new("omnigent, header mode", &header, vec![says]),
        Contender::new(
            "omnigent, `POST /oauth/token` of the command line",
            server,
            renewal,
        ),
    ];
    for _ in 0..plan.rounds {
        let cost = base.round(plan, None).await?;
        for other in &mut others {
            other.round(plan, Some(cost)).await?;
        }
    }
    println!(
        "| `GET /v1/me` | CPU each | × bare | a second | × bare | p99 |\n|---|---|---|---|---|---|"
    );
    base.print();
    others.into_iter().for_each(Contender::print);
    println!(
        "\nresident with a million revoked ids: {} MB",
        process::resident(server.pid()) >> 20
    );
    Ok(())
}
