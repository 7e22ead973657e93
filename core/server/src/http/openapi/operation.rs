//! One operation: what a route is for, takes and answers, and what follows from its entry in the
//! route table.

use http::Method;
use serde_json::{Map, Value, json};

use super::super::{Access, BodyRule, Route};

/// What a route is for, takes and answers.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    summary: &'static str,
    tag: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    refuses: Vec<u16>,
}

/// A way to begin operations of one feature.
pub(super) fn of(
    tag: &'static str,
) -> impl Fn(Method, &'static str, &'static str, &'static str) -> Operation {
    move |method, path, id, summary| Operation {
        method,
        path,
        id,
        summary,
        tag,
        parameters: Vec::new(),
        body: None,
        answers: Vec::new(),
        refuses: Vec::new(),
    }
}

/// A reference to a schema.
pub(super) fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object of these required and these optional members.
pub(super) fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let members: Map<String, Value> = required
        .iter()
        .chain(optional)
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    let mut schema = json!({"type": "object", "properties": members});
    if !required.is_empty() {
        schema["required"] = required.iter().map(|(name, _)| *name).collect();
    }
    schema
}

/// A text of so many characters.
pub(super) fn text(low: u64, high: u64) -> Value {
    json!({"type": "string", "minLength": low, "maxLength": high})
}

/// A text of so many characters, or null.
pub(super) fn optional_text(low: u64, high: u64) -> Value {
    json!({"type": ["string", "null"], "minLength": low, "maxLength": high})
}

impl Operation {
    pub(super) fn is_of(&self, method: &Method, path: &str) -> bool {
        self.method == *method && self.path == path
    }

    /// A parameter of the query.
    pub(super) fn query(mut self, name: &str, schema: Value) -> Self {
        let parameter = json!({"name": name, "in": "query", "required": false, "schema": schema});
        self.parameters.push(parameter);
        self
    }

    /// A header it reads.
    pub(super) fn header(mut self, name: &str, about: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false,
            "schema": {"type": "string"}, "description": about,
        }));
        self
    }

    /// Its body, in whatever the route reads.
    pub(super) fn takes(mut self, schema: Value) -> Self {
        self.body = Some(schema);
        self
    }

    /// JSON of this schema.
    pub(super) fn answers(self, status: u16, about: &str, schema: Value) -> Self {
        self.answer(status, about, "application/json", schema)
    }

    /// A page.
    pub(super) fn shows(self, status: u16, about: &str) -> Self {
        self.answer(status, about, "text/html", json!({"type": "string"}))
    }

    /// A body of another type.
    pub(super) fn answer(mut self, status: u16, about: &str, media: &str, schema: Value) -> Self {
        match self.answers.iter_mut().find(|(known, _)| *known == status) {
            Some((_, answer)) => answer["content"][media] = json!({"schema": schema}),
            None => {
                let answer = json!({"description": about, "content": {media: {"schema": schema}}});
                self.answers.push((status, answer));
            }
        }
        self
    }

    /// Nothing but a status.
    pub(super) fn empty(mut self, status: u16, about: &str) -> Self {
        self.answers.push((status, json!({"description": about})));
        self
    }

    /// The way to somewhere else.
    pub(super) fn redirects(mut self, about: &str) -> Self {
        self.answers.push((
            302,
            json!({
                "description": about,
                "headers": {"Location": {"required": true, "schema": {"type": "string"}}},
            }),
        ));
        self
    }

    /// Statuses of refusals, beyond those that follow from the route.
    pub(super) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refuses.extend(statuses);
        self
    }

    /// The operation as OpenAPI has it.
    pub(super) fn describe(&self, route: &Route) -> Value {
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [self.tag],
            "security": security(route.access),
        });
        let parameters: Vec<Value> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(parameter)
            .chain(self.parameters.iter().cloned())
            .collect();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(schema) = &self.body {
            let media: Map<String, Value> = media(route.body)
                .iter()
                .map(|media| ((*media).to_owned(), json!({"schema": schema})))
                .collect();
            let is_required = matches!(route.body, BodyRule::Json | BodyRule::JsonOnly)
                || !schema["required"].is_null();
            operation["requestBody"] = json!({"required": is_required, "content": media});
        }
        if route.access == Access::Operator {
            operation["description"] = "Only on the server's Unix socket: 403 elsewhere.".into();
        }
        operation["responses"] = self.responses(route);
        operation
    }

    fn responses(&self, route: &Route) -> Value {
        let mut statuses = self.refuses.clone();
        statuses.extend([400, 503]);
        if route.access != Access::Public {
            statuses.push(401);
        }
        if !matches!(
            route.access,
            Access::Public | Access::Optional | Access::User
        ) || route.method != Method::GET
        {
            statuses.push(403);
        }
        if route.access == Access::Public && route.method != Method::GET {
            statuses.push(429);
        }
        if route.path.contains('{') {
            statuses.push(404);
        }
        if route.body != BodyRule::None {
            statuses.extend([408, 413, 415]);
        }
        if matches!(
            route.body,
            BodyRule::Json | BodyRule::JsonOnly | BodyRule::OptionalJson | BodyRule::JsonOrForm
        ) || self.parameters.iter().any(|p| p["in"] == "query")
        {
            statuses.push(422);
        }
        let mut responses = Map::new();
        for (status, answer) in &self.answers {
            responses.insert(status.to_string(), answer.clone());
        }
        for status in statuses {
            let refusal = refusal(route.path, status);
            match responses.get_mut(&status.to_string()) {
                // A page that refuses, for browsers; JSON for others.
                Some(answer) if answer["content"].get("application/json").is_none() => {
                    answer["content"]["application/json"] =
                        refusal["content"]["application/json"].clone();
                }
                Some(_) => {}
                None => {
                    responses.insert(status.to_string(), refusal);
                }
            }
        }
        for answer in responses.values_mut() {
            answer["headers"]["x-request-id"] = json!({
                "description": "What the log calls this request",
                "required": true,
                "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            });
        }
        responses.into()
    }
}

fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::Optional => json!([{}, {"bearer": []}, {"cookie": []}]),
        Access::User | Access::Account | Access::Login | Access::Admin | Access::Operator => {
            json!([{"bearer": []}, {"cookie": []}])
        }
    }
}

fn parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
}

const fn media(rule: BodyRule) -> &'static [&'static str] {
    match rule {
        BodyRule::None => &[],
        BodyRule::Json | BodyRule::JsonOnly | BodyRule::OptionalJson => &["application/json"],
        BodyRule::Form => &["application/x-www-form-urlencoded"],
        BodyRule::JsonOrForm => &["application/json", "application/x-www-form-urlencoded"],
    }
}

fn refusal(path: &str, status: u16) -> Value {
    let about = match status {
        400 => "Not possible as it was asked",
        401 => "No good credential",
        403 => "Too little authority, or a foreign Origin",
        404 => "Not there, or not for you",
        405 => "Not with this method here",
        408 => "The body came too slowly",
        409 => "Not as things are",
        410 => "Over",
        413 => "The body is too large",
        415 => "Not this type of body",
        422 => "The body or query is of another shape",
        429 => "Too much; see Retry-After",
        503 => "Cannot tell or cannot write right now; see Retry-After",
        _ => "Refused",
    };
    let own = if path.starts_with("/v1/") {
        "ApiError"
    } else if path.starts_with("/oauth/") {
        "OAuthError"
    } else {
        "AuthError"
    };
    let shape = match status {
        405 | 408 | 413 | 415 => schema("Detail"),
        422 => schema("ShapeError"),
        400 | 403 | 404 => json!({"anyOf": [schema(own), schema("Detail")]}),
        _ => schema(own),
    };
    let mut answer = json!({
        "description": about,
        "content": {"application/json": {"schema": shape}},
    });
    let headers: &[(&str, &str)] = match status {
        401 => &[("WWW-Authenticate", "RFC 6750")],
        429 | 503 => &[("Retry-After", "Seconds to wait")],
        _ => &[],
    };
    for (name, about) in headers {
        answer["headers"][*name] = json!({"description": about, "schema": {"type": "string"}});
    }
    answer
}
