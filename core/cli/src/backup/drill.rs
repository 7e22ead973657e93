//! The drill: a real server on a restored copy, somebody signs in, what was revoked stays refused.
//!
//! It runs this same executable as `omnigent server`, on a loopback port and a temporary directory,
//! with a configuration of its own: under the operator's it could take over their sockets, speak to
//! their providers or tell their webhooks. So what is tried is the data and the keys, not the
//! configuration. Nobody's password is known here: the operator's door makes a link that signs an
//! account in once. The tokens that must be refused are made here, with the key of the backup.
//!
//! **Invariant:** the copy, which holds the keys in the clear, is in a directory that only we can
//! read, and is deleted, the server ended before, however the drill goes.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use omnigent_server::{
    account::{ACCOUNTS, Account},
    archive::{self, How, Kind},
    clock::{Clock, Timestamp},
    config::{Config, Env, Overrides},
    id::{LoginId, TokenId},
    store::{self, Options, Order, Store, StoreError},
    token::{Claims, KeySettings, Keyring, REVOCATIONS, TokenUse},
};
use reqwest::{Client, StatusCode, header, redirect::Policy};

use crate::{admin::Admin, failure::Failure, settings::Settings};

/// How long the server may take to come up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the server of the drill calls itself.
const ISSUER: &str = "drill";

/// Revoked ids of the backup that are tried.
const TRIED: usize = 3;

/// One thing that was tried.
pub(super) struct Step {
    pub(super) what: String,
    pub(super) is_good: bool,
}

/// Restores the backup and tries it.
pub(super) fn run(input: impl BufRead, settings: &Settings) -> Result<Vec<Step>, Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("the drill: {error}"));
    let dir = tempfile::Builder::new()
        .prefix("omnigent-drill-")
        .tempdir()
        .map_err(failed)?;
    let data_dir = dir.path().join("data");
    let how = How {
        kind: Kind::Backup,
        replace: false,
        end_logins: false,
        now: Clock::system().now(),
    };
    archive::restore(input, &data_dir, &how)?;
    let mut steps = vec![good("restored into an empty directory")];
    let found = Found::of(&data_dir.join("store"), how.now)?;
    let config_file = dir.path().join("drill.toml");
    let config = configuration(settings)?;
    std::fs::write(&config_file, &config).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let signer = Signer::new(&config, dir.path(), &data_dir, how.now)?;
    let server = Server::start(&config_file, &data_dir)?;
    steps.push(good("a server started on it"));
    let Some(account) = &found.account else {
        steps.push(good("there is no account in it that could sign in"));
        return Ok(steps);
    };
    let link = server.link(account)?;
    let cookie = runtime.block_on(sign_in(&server, account, &link, &mut steps))?;
    runtime.block_on(try_tokens(&server, &signer, account, &found, &mut steps))?;
    let Some(cookie) = cookie else {
        return Ok(steps);
    };
    runtime.block_on(sign_out(&server, &cookie, &mut steps))?;
    drop(server);
    let server = Server::start(&config_file, &data_dir)?;
    let status = runtime.block_on(server.me(&cookie, None))?.0;
    let what = "after a restart, what was signed out is refused still";
    steps.push(expect(what, status, StatusCode::UNAUTHORIZED));
    Ok(steps)
}

fn good(what: &str) -> Step {
    Step {
        what: what.to_owned(),
        is_good: true,
    }
}

fn expect(what: &str, found: StatusCode, wanted: StatusCode) -> Step {
    let is_good = found == wanted;
    let what = if is_good {
        what.to_owned()
    } else {
        format!("{what}: expected {wanted}, got {found}")
    };
    Step { what, is_good }
}

/// Nothing of the operator's but where the plugins are.
fn configuration(settings: &Settings) -> Result<String, Failure> {
    let plugins = match &settings.config {
        None => String::new(),
        Some(_) => {
            let plugin_dir = settings.load(None)?.server.plugin_dir;
            format!("plugin_dir = {:?}\n", plugin_dir.display().to_string())
        }
    };
    Ok(format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{plugins}[auth]\nbackends = [\"drill\"]\n\
         [tokens]\nissuer = \"{ISSUER}\"\n\
         [backend.drill]\nplugin = \"accounts\"\nrequired = false\n"
    ))
}

/// What is tried.
struct Found {
    /// An account that may act, an admin if there is one.
    account: Option<Account>,
    /// Ids that are revoked.
    revoked: Vec<[u8; 16]>,
}

impl Found {
    fn of(folder: &Path, now: Timestamp) -> Result<Self, Failure> {
        let store = Store::open(folder, &Options::default())?;
        let found = Self::read(&store, now).map_err(archive::ArchiveError::Store)?;
        store.close();
        store::wait_released(folder)?;
        Ok(found)
    }

    fn read(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let reader = store.reader();
        let mut account: Option<Account> = None;
        for entry in ACCOUNTS.scan(&reader, &[], None, Order::Ascending) {
            let (_, found) = entry?;
            if !found.disabled && (account.is_none() || found.is_admin) {
                let is_admin = found.is_admin;
                account = Some(found);
                if is_admin {
                    break;
                }
            }
        }
        let mut revoked = Vec::new();
        for entry in REVOCATIONS.scan(&reader, &[], None, Order::Ascending) {
            let (key, revocation) = entry?;
            if revocation.expires_at.is_none_or(|end| now < end) {
                revoked.extend(<[u8; 16]>::try_from(key.as_slice()).ok());
            }
            if revoked.len() == TRIED {
                break;
            }
        }
        Ok(Self { account, revoked })
    }
}

/// What signs as the restored server does. No server may run on it yet.
struct Signer {
    keyring: Keyring,
    issuer: String,
    audience: String,
}

impl Signer {
    fn new(text: &str, base: &Path, data_dir: &Path, now: Timestamp) -> Result<Self, Failure> {
        let env: Env = [("HOME", "/nonexistent")].into_iter().collect();
        let config =
            Config::parse(text, base, &env, &Overrides::default()).map_err(Failure::Config)?;
        let load = |issuer: &str| {
            let settings = KeySettings {
                issuer: issuer.into(),
                ..KeySettings::default()
            };
            Keyring::load_or_create(data_dir, &settings, now).map_err(archive::ArchiveError::from)
        };
        // By a name that it goes by already, or one that it learns here.
        let keyring = load("")?;
        let known = keyring.issuers().next().map(str::to_owned);
        let (keyring, issuer) = match known {
            Some(issuer) => (keyring, issuer),
            None => (load("omnigent")?, "omnigent".to_owned()),
        };
        Ok(Self {
            keyring,
            issuer,
            audience: config.tokens.audience,
        })
    }
}

fn token(signer: &Signer, account: &Account, sid: [u8; 16]) -> String {
    let now = Clock::system().now();
    let claims = Claims {
        issuer: signer.issuer.as_str().into(),
        audience: signer.audience.as_str().into(),
        subject: account.name.as_str().into(),
        uid: account.uid,
        sid: LoginId::from_bytes(sid),
        jti: TokenId::random(),
        issued_at: now,
        not_before: now,
        expires_at: Some(now.plus_seconds(300)),
        provider: "drill".into(),
        token_use: TokenUse::Access,
        scope: None,
        grant: None,
        client_id: None,
    };
    signer.keyring.sign(&claims).expose().clone()
}

/// A token of the restored key counts; the same of each revoked id does not.
async fn try_tokens(
    server: &Server,
    signer: &Signer,
    account: &Account,
    found: &Found,
    steps: &mut Vec<Step>,
) -> Result<(), Failure> {
    let fresh = token(signer, account, *LoginId::random().as_bytes());
    let (status, _) = server.me("", Some(&fresh)).await?;
    steps.push(expect("the keys sign and verify", status, StatusCode::OK));
    if found.revoked.is_empty() {
        steps.push(good("nothing in it is revoked"));
    }
    for id in &found.revoked {
        let (status, _) = server.me("", Some(&token(signer, account, *id))).await?;
        let what = "a token of a login or API token that was revoked is refused";
        steps.push(expect(what, status, StatusCode::UNAUTHORIZED));
    }
    Ok(())
}

/// The cookie of a login by the link, if that worked.
async fn sign_in(
    server: &Server,
    account: &Account,
    link: &str,
    steps: &mut Vec<Step>,
) -> Result<Option<String>, Failure> {
    let answer = server.client.get(link).send().await.map_err(lost)?;
    let cookie = answer.headers().get(header::SET_COOKIE);
    let cookie = cookie.and_then(|cookie| cookie.to_str().ok()?.split(';').next());
    let Some(cookie) = cookie.map(str::to_owned) else {
        let what = format!("nobody was signed in: {}", answer.status());
        let is_good = false;
        steps.push(Step { what, is_good });
        return Ok(None);
    };
    let (status, who) = server.me(&cookie, None).await?;
    let is_right = who.as_deref() == Some(account.name.as_str());
    let what = format!("{} is signed in, and /v1/me says so", account.name.as_str());
    let mut step = expect(&what, status, StatusCode::OK);
    step.is_good &= is_right;
    steps.push(step);
    Ok(Some(cookie))
}

async fn sign_out(server: &Server, cookie: &str, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let answer = server
        .client
        .post(format!("{}/auth/logout", server.url))
        .header(header::COOKIE, cookie)
        .header(header::ORIGIN, &server.url)
        .send()
        .await
        .map_err(lost)?;
    let (status, _) = server.me(cookie, None).await?;
    let mut step = expect(
        "signed out, and refused at once",
        status,
        StatusCode::UNAUTHORIZED,
    );
    step.is_good &= answer.status() == StatusCode::NO_CONTENT;
    steps.push(step);
    Ok(())
}

fn lost(error: reqwest::Error) -> Failure {
    Failure::Failed(format!("the drill's server does not answer: {error}"))
}

/// A server that ends with this value.
struct Server {
    child: Child,
    url: String,
    client: Client,
    data_dir: std::path::PathBuf,
}

impl Server {
    fn start(config: &Path, data_dir: &Path) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("the drill: {error}"));
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args(["server", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .arg("--data-dir")
            .arg(data_dir)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let last_words = child.stderr.take().map(|err| {
            let lines = BufReader::new(err).lines().map_while(Result::ok);
            std::thread::spawn(move || lines.last().unwrap_or_default())
        });
        let (say, hear) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if let Some((_, address)) = line.split_once("listening on http://") {
                        let _ = say.send(address.trim().to_owned());
                    }
                }
            });
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build();
        let mut server = Self {
            child,
            url: String::new(),
            client: client.map_err(|error| failed(&error))?,
            data_dir: data_dir.to_owned(),
        };
        let Ok(address) = hear.recv_timeout(PATIENCE) else {
            // All it said is there once it has ended.
            let _ = server.child.kill();
            let last = last_words.and_then(|words| words.join().ok());
            return Err(failed(&format!(
                "no server came up on the restored copy; the last it said: {}",
                crate::output::plain(&last.unwrap_or_default())
            )));
        };
        server.url = format!("http://{address}");
        Ok(server)
    }

    /// A link of the operator's door that signs the account in once.
    fn link(&self, account: &Account) -> Result<String, Failure> {
        let admin = Admin::connect(&self.data_dir)?;
        let admin = admin.ok_or_else(|| Failure::Failed("the drill's server is gone".into()))?;
        let link = admin.reset_link(account.name.as_str())?;
        let link = link["redeem_url"].as_str().map(str::to_owned);
        link.ok_or_else(|| Failure::Failed("the drill's server made no link".into()))
    }

    /// What `/v1/me` answers.
    async fn me(
        &self,
        cookie: &str,
        token: Option<&str>,
    ) -> Result<(StatusCode, Option<String>), Failure> {
        let mut request = self.client.get(format!("{}/v1/me", self.url));
        request = match token {
            Some(token) => request.bearer_auth(token),
            None => request.header(header::COOKIE, cookie),
        };
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let me: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        Ok((status, me["user_id"].as_str().map(str::to_owned)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gently first: it is to let go of its directory, which is deleted next.
        let pid = i32::try_from(self.child.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for _ in 0..500 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
