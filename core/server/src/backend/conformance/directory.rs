//! What a backend says of people it does not know, and takes for names and passwords.

use omnigent_plugin::{
    DirectoryError, Identity, IdentityRef, Password, Standing, contract::Manifest,
};

use super::{
    super::{CallError, Instance},
    Report, fault, hostile_texts,
};

const NOBODY: &str = "conformance-nobody-7f3a";

pub(super) async fn cases(report: &mut Report, backend: &Instance, manifest: &Manifest) {
    if manifest.can("revalidate") {
        report.note(
            "an identity is never revalidated as another one",
            revalidates(backend).await,
        );
    }
    if manifest.can("logout") {
        report.note("a forged notice ends nothing", notices(backend).await);
    }
    if manifest.can("directory") {
        report.note(
            "hostile names and passwords do not break it",
            creates(backend).await,
        );
        report.note(
            "an empty password is refused",
            empty_password(backend).await,
        );
        report.note(
            "nobody's password cannot be changed",
            strangers(backend).await,
        );
        report.note(
            "it describes as many as it was asked about",
            describes(backend).await,
        );
    }
}

async fn revalidates(backend: &Instance) -> Result<(), String> {
    for subject in [NOBODY, "", "*", "\0"] {
        backend.ease();
        let identity = IdentityRef {
            subject: subject.into(),
            issuer: None,
        };
        match backend.revalidate(&identity).await {
            Ok(Standing::Holds {
                identity: Some(other),
            }) if other.subject != subject => {
                return Err(format!("{subject:?} holds as {:?}", other.subject));
            }
            Ok(_) => {}
            Err(error) => fault(&error).map_or(Ok(()), Err)?,
        }
    }
    Ok(())
}

async fn notices(backend: &Instance) -> Result<(), String> {
    for notice in [
        "",
        "x",
        "e30.e30.",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    ] {
        backend.ease();
        match backend.ended(notice).await {
            Ok(Some(ended)) => return Err(format!("{notice:?} ends {ended:?}")),
            Ok(None) => {}
            Err(error) => fault(&error).map_or(Ok(()), Err)?,
        }
    }
    for subject in [NOBODY, ""] {
        backend.ease();
        match backend.logout(&Identity::new(subject)).await {
            Ok(target)
                if target
                    .url
                    .as_ref()
                    .is_some_and(|url| !url.starts_with("http")) =>
            {
                return Err(format!("it sends people to {:?}", target.url));
            }
            Err(error) => fault(&error).map_or(Ok(()), Err)?,
            Ok(_) => {}
        }
    }
    Ok(())
}

async fn creates(backend: &Instance) -> Result<(), String> {
    for text in hostile_texts() {
        for (name, password) in [
            (text.as_str(), "tidal-Orchid-77-lantern"),
            ("somebody", text.as_str()),
        ] {
            backend.ease();
            if let Err(error) = backend
                .directory_create(name, &Password::new(password))
                .await
                && let Some(fault) = fault(&error)
            {
                return Err(fault);
            }
        }
    }
    Ok(())
}

async fn empty_password(backend: &Instance) -> Result<(), String> {
    backend.ease();
    match backend
        .directory_create("somebody", &Password::default())
        .await
    {
        Ok(_) => Err("it takes one".into()),
        Err(_) => Ok(()),
    }
}

async fn strangers(backend: &Instance) -> Result<(), String> {
    backend.ease();
    let new = Password::new("tidal-Orchid-77-lantern");
    let own = backend
        .directory_change_password(NOBODY, &Password::new("x"), &new)
        .await;
    match own {
        Err(CallError::Directory(
            DirectoryError::NotFound | DirectoryError::WrongPassword | DirectoryError::NoPassword,
        )) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn describes(backend: &Instance) -> Result<(), String> {
    backend.ease();
    let people: Vec<String> = [NOBODY, "", "admin"].map(str::to_owned).into();
    match backend.directory_describe(&people).await {
        Ok(entries) if entries.first().is_some_and(|entry| entry.has_password) => {
            Err("somebody who is not there has a password".into())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
