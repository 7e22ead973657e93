//! A page of a few sentences, forms and links, for what needs no template of its own.

use askama::Template;
use http::StatusCode;

use super::{super::Outcome, Shell, render};

/// A page.
#[derive(Default)]
pub(in crate::http) struct Page {
    pub(in crate::http) title: &'static str,
    pub(in crate::http) banner: bool,
    pub(in crate::http) problem: Option<String>,
    pub(in crate::http) message: Option<String>,
    pub(in crate::http) forms: Vec<PageForm>,
    pub(in crate::http) links: Vec<Link>,
}

/// A link on a page.
pub(in crate::http) struct Link {
    pub(in crate::http) to: String,
    pub(in crate::http) text: String,
}

impl Link {
    pub(in crate::http) fn new(to: &str, text: &str) -> Self {
        Self {
            to: to.to_owned(),
            text: text.to_owned(),
        }
    }
}

/// A form on a page.
pub(in crate::http) struct PageForm {
    pub(in crate::http) action: &'static str,
    pub(in crate::http) hidden: Vec<(&'static str, String)>,
    pub(in crate::http) fields: Vec<PageField>,
    pub(in crate::http) submit: &'static str,
}

/// A field of a form.
#[derive(Default)]
pub(in crate::http) struct PageField {
    pub(in crate::http) name: String,
    pub(in crate::http) label: String,
    /// `text`, `password`, `otp`, `radio` or `select`.
    pub(in crate::http) kind: &'static str,
    pub(in crate::http) value: String,
    pub(in crate::http) autocomplete: String,
    pub(in crate::http) hint: &'static str,
    pub(in crate::http) max_length: u32,
    pub(in crate::http) required: bool,
    pub(in crate::http) choices: Vec<String>,
    pub(in crate::http) autofocus: bool,
}

#[derive(Template)]
#[template(path = "plain.html")]
struct Plain<'a> {
    shell: Shell,
    page: &'a Page,
}

/// The page as an answer.
pub(in crate::http) fn page(status: StatusCode, page: &Page) -> Outcome {
    let shell = Shell {
        title: page.title.to_owned(),
        is_no_auth: page.banner,
        problem: page.problem.clone(),
        ..Shell::default()
    };
    render(status, &Plain { shell, page })
}
