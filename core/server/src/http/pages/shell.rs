//! What is around every page: title, who is signed in, where one can go, what has just happened.

use super::{
    super::{ApiError, Request, Settings},
    assets, guard,
};
use crate::app::App;

/// What every template knows.
#[derive(Default)]
pub(in crate::http) struct Shell {
    /// The heading.
    pub(in crate::http) title: String,
    /// Everybody is an admin.
    pub(in crate::http) is_no_auth: bool,
    /// Who is signed in.
    pub(in crate::http) user: Option<Who>,
    /// What forms of this login carry.
    pub(in crate::http) form_token: String,
    /// The path of the place in the navigation.
    pub(in crate::http) place: &'static str,
    /// What went wrong.
    pub(in crate::http) problem: Option<String>,
    /// What has been done.
    pub(in crate::http) notice: Option<&'static str>,
    /// Whether there is a password to change.
    pub(in crate::http) has_password: bool,
}

/// Who is signed in.
pub(in crate::http) struct Who {
    /// The account's name.
    pub(in crate::http) name: String,
    /// Whether to show what admins do.
    pub(in crate::http) is_admin: bool,
    /// Whether there is a login to end.
    pub(in crate::http) can_sign_out: bool,
}

type Places = Vec<(&'static str, &'static str)>;

impl Shell {
    /// Around a page that says one thing, to whoever it is.
    pub(in crate::http) fn bare(settings: &Settings, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            is_no_auth: settings.is_no_auth,
            ..Self::default()
        }
    }

    /// Around a page that asks one thing of whoever the request is from.
    pub(in crate::http) fn card(app: &App, request: &Request, title: impl Into<String>) -> Self {
        let who = |principal: &super::super::Principal| Who {
            name: principal.account().id.to_string(),
            is_admin: principal.is_admin(),
            can_sign_out: principal.token().is_some(),
        };
        Self {
            user: request.principal().map(who),
            form_token: request
                .principal()
                .map_or_else(String::new, |principal| guard::form_token(app, principal)),
            ..Self::bare(&app.settings, title)
        }
    }

    /// Around a page at a place in the navigation.
    pub(in crate::http) async fn at(
        app: &App,
        request: &Request,
        place: &'static str,
        title: impl Into<String>,
    ) -> Result<Self, ApiError> {
        let person = request.principal().and_then(|principal| principal.person());
        let has_password = match person {
            Some(uid) => app.office.keeps_password(uid).await?,
            None => false,
        };
        Ok(Self {
            place,
            has_password,
            ..Self::card(app, request, title)
        })
    }

    /// The same, saying what the query says has been done.
    #[must_use]
    pub(in crate::http) fn noting(
        mut self,
        request: &Request,
        notices: &[(&str, &'static str)],
    ) -> Self {
        let done = super::super::forms::query(request, "done");
        let notice = notices
            .iter()
            .find(|(word, _)| done.as_deref() == Some(word));
        self.notice = notice.map(|(_, notice)| *notice);
        self
    }

    /// The same, saying what went wrong.
    #[must_use]
    pub(in crate::http) fn troubled(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }

    /// The style sheet's version.
    pub(in crate::http) const fn style_version(&self) -> u32 {
        assets::STYLE_VERSION
    }

    /// Whether this is the place at `path`.
    pub(in crate::http) fn is_at(&self, path: &str) -> bool {
        self.place == path
    }

    /// Where one can go: groups of paths and names.
    pub(in crate::http) fn places(&self) -> Vec<(&'static str, Places)> {
        let mut groups = vec![("Start", vec![("/", "Home")])];
        if !self.is_no_auth {
            let mut own = vec![
                ("/settings/tokens", "API tokens"),
                ("/settings/logins", "Logins"),
            ];
            if self.has_password {
                own.push(("/settings/password", "Password"));
            }
            own.push(("/settings/identities", "Linked identities"));
            groups.push(("Settings", own));
        }
        if self.user.as_ref().is_some_and(|user| user.is_admin) {
            let admin = vec![
                ("/admin/people", "People"),
                ("/admin/audit", "Audit"),
                ("/admin/backends", "Backends"),
                ("/admin/config", "Configuration"),
            ];
            groups.push(("Admin", admin));
        }
        groups
    }
}
