//! What may be said of a session: bodies, queries, and the limits of their values.

use std::collections::BTreeMap;

use crate::{
    http::{ApiError, BodyRule, Fields, Request, Shape},
    session::{Change, Direction, Filter, MAX_LABELS, Query, SortBy},
};

const EFFORTS: [&str; 8] = [
    "none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra",
];

pub(super) fn check_texts(texts: &[(&str, Option<&String>, usize)]) -> Result<(), ApiError> {
    for (name, text, most) in texts {
        if text.is_some_and(|text| text.chars().count() > *most) {
            return Err(ApiError::invalid_input(&format!(
                "{name} has at most {most} characters"
            )));
        }
    }
    Ok(())
}

pub(super) fn check_effort(effort: Option<&String>) -> Result<(), ApiError> {
    if effort.is_none_or(|effort| EFFORTS.contains(&effort.as_str())) {
        return Ok(());
    }
    Err(ApiError::invalid_input(&format!(
        "reasoning_effort is one of: {}",
        EFFORTS.join(", ")
    )))
}

pub(super) fn check_labels(
    labels: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let is_long =
        |(key, value): &(String, String)| key.chars().count() > 64 || value.chars().count() > 512;
    if labels.len() > MAX_LABELS || labels.iter().any(is_long) {
        return Err(ApiError::invalid_input(
            "at most 64 labels, keys of 64 and values of 512 characters",
        ));
    }
    Ok(labels.into_iter().collect())
}

pub(super) struct ListQuery {
    pub(super) query: Query,
    pub(super) cursors: [Option<String>; 2],
    pub(super) agent: Option<String>,
}

impl Shape for ListQuery {
    const BODY: BodyRule = BodyRule::None;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_query(request);
        let limit = fields.optional_integer("limit", 1..=1000).unwrap_or(20);
        let direction = match fields.optional_word("order", &["asc", "desc"]) {
            Some("asc") => Direction::Ascending,
            _ => Direction::Descending,
        };
        let sort_by = match fields.optional_word("sort_by", &["created_at", "updated_at"]) {
            Some("updated_at") => SortBy::UpdatedAt,
            _ => SortBy::CreatedAt,
        };
        let filter = Filter {
            agent: None,
            agent_name: fields.optional_string("agent_name", 0..=256),
            search: fields.optional_string("search_query", 0..=256),
            include_archived: fields.optional_boolean("include_archived").unwrap_or(false),
            nothing: fields
                .optional_string("kind", 0..=64)
                .is_some_and(|kind| kind != "default" && kind != "any"),
        };
        let cursors = [
            fields.optional_string("after", 0..=256),
            fields.optional_string("before", 0..=256),
        ];
        let agent = fields.optional_string("agent_id", 0..=256);
        fields.finish()?;
        let limit = usize::try_from(limit).unwrap_or(1000);
        let query = Query {
            limit,
            after: None,
            before: None,
            sort_by,
            direction,
            filter,
        };
        Ok(Self {
            query,
            cursors,
            agent,
        })
    }
}

pub(super) struct ChangeBody {
    pub(super) change: Change,
    pub(super) labels: Vec<(String, String)>,
    pub(super) runner_id: Option<String>,
}

impl Shape for ChangeBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let clearing = |text: Option<String>| {
            text.map(|text| {
                Some(text).filter(|text| !["default", "off", "reset"].contains(&text.as_str()))
            })
        };
        let change = Change {
            title: fields.optional_string("title", 0..=usize::MAX),
            labels: BTreeMap::new(),
            reasoning_effort: clearing(fields.optional_string("reasoning_effort", 0..=usize::MAX)),
            model_override: clearing(fields.optional_string("model_override", 0..=usize::MAX)),
            external_id: fields.optional_string("external_session_id", 0..=usize::MAX),
            archived: fields.optional_boolean("archived"),
        };
        let labels = fields.optional_texts("labels").unwrap_or_default();
        let runner_id = fields.optional_string("runner_id", 0..=usize::MAX);
        fields.forbid_others();
        fields.finish().map(|()| Self {
            change,
            labels,
            runner_id,
        })
    }
}
