//! A browser as far as signing in needs one: cookies by origin, redirects step by step, forms.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::Client;

/// A browser. Clones are tabs of the same one.
#[derive(Clone, Default)]
pub struct Browser {
    /// By origin, then name.
    cookies: Arc<Mutex<BTreeMap<String, BTreeMap<String, String>>>>,
}

/// What a tab shows.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it ended up.
    pub url: String,
    /// The status there.
    pub status: u16,
    /// The text there.
    pub text: String,
    /// The headers there.
    pub headers: http::HeaderMap,
    /// Every URL on the way, the last one included.
    pub hops: Vec<String>,
}

impl Browser {
    /// One that has been nowhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens `url` and goes where it leads.
    #[track_caller]
    pub fn open(&self, url: &str) -> Page {
        self.go("GET", url, None, "none")
    }

    /// Fills in the first form of `page`, over what its hidden fields hold, and sends it.
    #[track_caller]
    pub fn submit(&self, page: &Page, fields: &[(&str, &str)]) -> Page {
        self.send(page, "<form", fields)
    }

    /// As [`Browser::submit`], of the form that goes to `action`.
    #[track_caller]
    pub fn submit_to(&self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        self.send(page, &format!("action=\"{action}\""), fields)
    }

    #[track_caller]
    fn send(&self, page: &Page, start: &str, fields: &[(&str, &str)]) -> Page {
        let at = page.text.find(start);
        let at = at.unwrap_or_else(|| panic!("no {start}: {page:?}"));
        let form = page.text[at..].split("</form>").next().unwrap_or_default();
        let action = attribute(form, "action").unwrap_or_else(|| page.url.clone());
        let mut values: Vec<(String, String)> = form
            .split("<input")
            .skip(1)
            .filter_map(|input| {
                let input = input.split('>').next()?;
                let is_choice = input.contains("radio") || input.contains("checkbox");
                if is_choice && !input.contains(" checked") {
                    return None;
                }
                Some((
                    attribute(input, "name")?,
                    attribute(input, "value").unwrap_or_default(),
                ))
            })
            .collect();
        for (name, value) in fields {
            // A hidden field of the same name comes first and stays as it is.
            match values.iter_mut().rev().find(|(own, _)| own == name) {
                Some((_, own)) => (*value).clone_into(own),
                None => values.push(((*name).to_owned(), (*value).to_owned())),
            }
        }
        let pairs: Vec<_> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.go(
            "POST",
            &join(&page.url, &action),
            Some(&pairs),
            "same-origin",
        )
    }

    /// The cookies the origin of `url` has set.
    pub fn cookies(&self, url: &str) -> BTreeMap<String, String> {
        let jar = self.cookies.lock().expect("a jar");
        jar.get(origin(url)).cloned().unwrap_or_default()
    }

    /// Forgets a cookie.
    pub fn forget(&self, url: &str, name: &str) {
        let mut jar = self.cookies.lock().expect("a jar");
        jar.entry(origin(url).to_owned()).or_default().remove(name);
    }

    /// One request, with the cookies of its origin, going nowhere after it.
    #[track_caller]
    pub fn step(&self, method: &str, url: &str, form: Option<&[(&str, &str)]>, site: &str) -> Page {
        let origin = origin(url);
        let path = url
            .strip_prefix(origin)
            .filter(|path| !path.is_empty())
            .unwrap_or("/");
        let path = path.split('#').next().unwrap_or_default();
        let mut client = Client::new(origin)
            .with("accept", "text/html,application/xhtml+xml")
            .with("sec-fetch-site", site);
        let cookies = self.cookies(url);
        if !cookies.is_empty() {
            let pairs: Vec<_> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            client = client.with("cookie", &pairs.join("; "));
        }
        let answer = match form {
            Some(fields) => client.with("origin", origin).form(path, fields),
            None => client.send(method, path, None, ""),
        };
        let mut jar = self.cookies.lock().expect("a jar");
        let own = jar.entry(origin.to_owned()).or_default();
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap_or_default();
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_gone = value.is_empty() || attributes.to_lowercase().contains("max-age=0");
            if is_gone {
                own.remove(name);
            } else {
                own.insert(name.to_owned(), value.to_owned());
            }
        }
        Page {
            url: url.to_owned(),
            status: answer.status,
            text: answer.text,
            headers: answer.headers,
            hops: vec![url.to_owned()],
        }
    }

    #[track_caller]
    fn go(&self, method: &str, url: &str, form: Option<&[(&str, &str)]>, site: &str) -> Page {
        let mut page = self.step(method, url, form, site);
        let mut hops = page.hops.clone();
        while (300..400).contains(&page.status) && hops.len() < 20 {
            let to = page.headers.get("location").and_then(|to| to.to_str().ok());
            let to = join(&page.url, to.expect("a redirect leads somewhere"));
            let site = if origin(&to) == origin(&page.url) {
                site
            } else {
                "cross-site"
            };
            page = self.step("GET", &to, None, site);
            hops.push(to);
        }
        page.hops = hops;
        page
    }
}

/// The value of the first hidden field of this name on a page.
#[track_caller]
pub fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |at| start + at);
    &url[..end]
}

fn join(base: &str, to: &str) -> String {
    if to.contains("://") {
        to.to_owned()
    } else {
        format!("{}{to}", origin(base))
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let value = rest.split('"').next()?;
    Some(
        value
            .replace("&#38;", "&")
            .replace("&amp;", "&")
            .replace("&#x2F;", "/")
            .replace("&#47;", "/"),
    )
}
