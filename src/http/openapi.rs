//! The OpenAPI document: made from a table of what there is and from the types that are told.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, ObjectBuilder,
    OpenApi, OpenApiBuilder, PathItem, Paths, Ref, RefOr, Required, ResponseBuilder, Schema,
};

use super::admin::{ChangeMembers, Status};
use super::cluster::{HandOver, Health, Version};
use super::files::{Appended, File, NewName, Page, Renamed};
use super::problem::{Code, Details};
use super::route::Route;
use super::watch::Told;

/// Something that can be asked for.
struct Operation {
    method: HttpMethod,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [&'static Parameter],
    body: Option<Media>,
    /// Status, what it means, and what comes with it.
    answers: &'static [(&'static str, &'static str, Option<Media>)],
    /// What may go wrong, beside what may always.
    codes: &'static [Code],
}

/// A parameter of the query, a header, or the name in the path.
struct Parameter {
    place: ParameterIn,
    name: &'static str,
    what: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    OneOf(&'static [&'static str]),
}

/// What a body is.
#[derive(Clone, Copy)]
enum Media {
    /// The bytes of a file.
    Bytes,
    Text,
    Metrics,
    /// Changes, as server-sent events.
    Events,
    /// This schema, in JSON.
    Json(&'static str),
}

const NAME: Parameter = Parameter {
    place: ParameterIn::Path,
    name: "name",
    what: "The file's name, percent-encoded; a `/` in it may stand as it is.",
    kind: Kind::Text,
};
const BY: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "by",
    what: "What the name in the path is: a name, or, with `any`, a name, else a uuid, else the \
           first digits of one (4 at least).",
    kind: Kind::OneOf(&["name", "any"]),
};
const REDIRECT: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "redirect",
    what: "Whether to be sent to the leader (307) instead of being answered by this server.",
    kind: Kind::Flag,
};
const REPLACE: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "replace",
    what: "Whether a file of this name is replaced; default true.",
    kind: Kind::Flag,
};
const AT: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "at",
    what: "The file as it was when the log entry at this index had been applied.",
    kind: Kind::Number,
};
const CONSISTENCY: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "consistency",
    what: "What the answer may miss: nothing; nothing as long as clocks are right (`lease`); what \
           this server has not applied yet (`stale`).",
    kind: Kind::OneOf(&["linearizable", "lease", "stale"]),
};
const AFTER: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "after",
    what: "Only names behind this one: `next` of the page before.",
    kind: Kind::Text,
};
const LIMIT: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "limit",
    what: "At most so many files, from 1 to 500; default 100.",
    kind: Kind::Number,
};
const FROM: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "from",
    what: "Changes behind this log index; default: from now on.",
    kind: Kind::Number,
};
const PREFIX: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "prefix",
    what: "Only files whose names begin, or began, so.",
    kind: Kind::Text,
};
const QUESTION: Parameter = Parameter {
    place: ParameterIn::Query,
    name: "q",
    what: "The question, in the words of the console.",
    kind: Kind::Text,
};
const KEY: Parameter = Parameter {
    place: ParameterIn::Header,
    name: "Idempotency-Key",
    what: "Whatever is asked again under the same key is done once: `CLIENT-UUID:NUMBER`, or any \
           text drawn for this request.",
    kind: Kind::Text,
};
const IF_MATCH: Parameter = Parameter {
    place: ParameterIn::Header,
    name: "If-Match",
    what: "Only if the file is one of these versions (ETags), or exists at all (`*`).",
    kind: Kind::Text,
};
const IF_NONE_MATCH: Parameter = Parameter {
    place: ParameterIn::Header,
    name: "If-None-Match",
    what: "Only if the file is none of these versions (ETags), or does not exist (`*`).",
    kind: Kind::Text,
};
const RANGE: Parameter = Parameter {
    place: ParameterIn::Header,
    name: "Range",
    what: "One range of bytes.",
    kind: Kind::Text,
};
const IF_RANGE: Parameter = Parameter {
    place: ParameterIn::Header,
    name: "If-Range",
    what: "`Range` counts only for this version (ETag).",
    kind: Kind::Text,
};
const LAST_EVENT: Parameter = Parameter {
    place: ParameterIn::Header,
    name: "Last-Event-ID",
    what: "Changes behind this log index, the id of the last event that was seen.",
    kind: Kind::Number,
};

const READS: &[Code] = &[
    Code::NotLeader,
    Code::NoLeader,
    Code::NoQuorum,
    Code::Unavailable,
    Code::BadParameter,
    Code::BadName,
    Code::NoSuchFile,
];
const CHANGES: &[Code] = &[
    Code::NotLeader,
    Code::NoLeader,
    Code::NoQuorum,
    Code::Unavailable,
    Code::BadParameter,
    Code::BadName,
    Code::BadHeader,
    Code::NoSuchFile,
    Code::PreconditionFailed,
    Code::KeyReused,
    Code::KeyForgotten,
    Code::OutcomeUnknown,
];
const BODIES: &[Code] = &[
    Code::TooLarge,
    Code::TooSlow,
    Code::Incomplete,
    Code::BadBody,
    Code::StoreFull,
    Code::UploadLost,
];
const WISHES: &[Code] =
    &[Code::NotLeader, Code::NoLeader, Code::Refused, Code::BadBody, Code::OutcomeUnknown];
/// What may go wrong with anything but the paths that look after the server.
const ALWAYS: &[Code] = &[
    Code::Unauthorized,
    Code::Forbidden,
    Code::HostRefused,
    Code::OriginRefused,
    Code::TooManyRequests,
    Code::Overloaded,
    Code::Internal,
];

const FILE: &str = "/v1/files/{name}";
const OPERATIONS: &[Operation] = &[
    Operation {
        method: HttpMethod::Put,
        path: FILE,
        summary: "Stores the body as a file: all at once or not at all",
        parameters: &[&NAME, &REPLACE, &REDIRECT, &KEY, &IF_MATCH, &IF_NONE_MATCH],
        body: Some(Media::Bytes),
        answers: &[
            ("201", "There was no such file", Some(Media::Json("File"))),
            ("200", "It took the place of another", Some(Media::Json("File"))),
        ],
        codes: &[Code::NameExists],
    },
    Operation {
        method: HttpMethod::Get,
        path: FILE,
        summary: "A file's content, or part of it",
        parameters: &[
            &NAME,
            &AT,
            &CONSISTENCY,
            &BY,
            &REDIRECT,
            &RANGE,
            &IF_RANGE,
            &IF_MATCH,
            &IF_NONE_MATCH,
        ],
        body: None,
        answers: &[
            ("200", "All of it", Some(Media::Bytes)),
            ("206", "The part that was asked for", Some(Media::Bytes)),
            ("304", "The client has this version", None),
        ],
        codes: &[
            Code::RangeNotSatisfiable,
            Code::PreconditionFailed,
            Code::BadHeader,
            Code::HistoryGone,
            Code::NotYet,
            Code::Changed,
        ],
    },
    Operation {
        method: HttpMethod::Head,
        path: FILE,
        summary: "The headers of the same",
        parameters: &[
            &NAME,
            &AT,
            &CONSISTENCY,
            &BY,
            &REDIRECT,
            &RANGE,
            &IF_RANGE,
            &IF_MATCH,
            &IF_NONE_MATCH,
        ],
        body: None,
        answers: &[("200", "It exists", None), ("304", "The client has this version", None)],
        codes: &[
            Code::RangeNotSatisfiable,
            Code::PreconditionFailed,
            Code::HistoryGone,
            Code::NotYet,
        ],
    },
    Operation {
        method: HttpMethod::Delete,
        path: FILE,
        summary: "Deletes a file",
        parameters: &[&NAME, &BY, &REDIRECT, &KEY, &IF_MATCH, &IF_NONE_MATCH],
        body: None,
        answers: &[("204", "It is gone", None)],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Post,
        path: "/v1/files/{name}/append",
        summary: "Appends the body to a file: all at once or not at all",
        parameters: &[&NAME, &BY, &REDIRECT, &KEY, &IF_MATCH, &IF_NONE_MATCH],
        body: Some(Media::Bytes),
        answers: &[("200", "It has grown", Some(Media::Json("Appended")))],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Post,
        path: "/v1/files/{name}/rename",
        summary: "Gives a file another name",
        parameters: &[&NAME, &BY, &REDIRECT, &KEY, &IF_MATCH, &IF_NONE_MATCH],
        body: Some(Media::Json("NewName")),
        answers: &[("200", "It has the name", Some(Media::Json("Renamed")))],
        codes: &[Code::NameExists],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/v1/files/{name}/stat",
        summary: "All about a file but its content",
        parameters: &[&NAME, &AT, &CONSISTENCY, &BY, &REDIRECT],
        body: None,
        answers: &[("200", "It exists", Some(Media::Json("File")))],
        codes: &[Code::HistoryGone, Code::NotYet],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/v1/files",
        summary: "The files by name, page by page",
        parameters: &[&AFTER, &LIMIT, &CONSISTENCY, &REDIRECT],
        body: None,
        answers: &[("200", "A page", Some(Media::Json("Page")))],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/v1/watch",
        summary: "Changes of files as they happen: server-sent events whose ids are log indices",
        parameters: &[&FROM, &PREFIX, &LAST_EVENT],
        body: None,
        answers: &[("200", "Events, until the server stops", Some(Media::Events))],
        codes: &[Code::HistoryGone, Code::BadHeader],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/v1/cluster",
        summary: "How the server is, and the cluster as far as it knows",
        parameters: &[],
        body: None,
        answers: &[("200", "How it is", Some(Media::Json("Status")))],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Post,
        path: "/v1/cluster/members",
        summary: "Changes the members",
        parameters: &[&REDIRECT],
        body: Some(Media::Json("ChangeMembers")),
        answers: &[("202", "It has begun", None)],
        codes: &[Code::Unavailable],
    },
    Operation {
        method: HttpMethod::Post,
        path: "/v1/cluster/transfer",
        summary: "Has the leader hand over",
        parameters: &[&REDIRECT],
        body: Some(Media::Json("HandOver")),
        answers: &[("202", "It has begun", None)],
        codes: &[Code::Unavailable],
    },
    Operation {
        method: HttpMethod::Post,
        path: "/v1/cluster/snapshot",
        summary: "Has this server take a snapshot",
        parameters: &[],
        body: None,
        answers: &[("202", "It was told so", None)],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/v1/cluster/why",
        summary: "Why something is so",
        parameters: &[&QUESTION],
        body: None,
        answers: &[("200", "Why", Some(Media::Text))],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Post,
        path: "/v1/chaos",
        summary: "Disturbs the server, if it was started so that it may be: an order as text",
        parameters: &[],
        body: Some(Media::Text),
        answers: &[("202", "The order was carried out", None)],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/livez",
        summary: "Whether the process is well",
        parameters: &[],
        body: None,
        answers: &[("200", "It is", Some(Media::Json("Health")))],
        codes: &[Code::NotReady],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/readyz",
        summary: "Whether the server can answer clients",
        parameters: &[],
        body: None,
        answers: &[("200", "It can", Some(Media::Json("Health")))],
        codes: &[Code::NotReady],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/metrics",
        summary: "Metrics, as OpenMetrics text",
        parameters: &[],
        body: None,
        answers: &[("200", "The metrics", Some(Media::Metrics))],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/version",
        summary: "What runs",
        parameters: &[],
        body: None,
        answers: &[("200", "The version", Some(Media::Json("Version")))],
        codes: &[],
    },
    Operation {
        method: HttpMethod::Get,
        path: "/openapi.json",
        summary: "This document",
        parameters: &[],
        body: None,
        answers: &[("200", "The document", None)],
        codes: &[],
    },
];

/// The document, as it stands in docs/openapi.json.
///
/// # Panics
/// Never: every part of it serializes.
pub fn document() -> String {
    let mut paths = Paths::new();
    for operation in OPERATIONS {
        let mut item = PathItem::default();
        item = merge(item, operation);
        match paths.paths.get_mut(operation.path) {
            Some(known) => known.merge_operations(item),
            None => drop(paths.paths.insert(operation.path.to_owned(), item)),
        }
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token with the role that the operation takes."))
        .build();
    let mut schemas = Vec::new();
    add::<File>(&mut schemas);
    add::<Appended>(&mut schemas);
    add::<NewName>(&mut schemas);
    add::<Renamed>(&mut schemas);
    add::<Page>(&mut schemas);
    add::<Told>(&mut schemas);
    add::<Status>(&mut schemas);
    add::<ChangeMembers>(&mut schemas);
    add::<HandOver>(&mut schemas);
    add::<Health>(&mut schemas);
    add::<Version>(&mut schemas);
    add::<Details>(&mut schemas);
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("token", SecurityScheme::Http(token))
        .build();
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").build();
    let info = InfoBuilder::new()
        .title("jangada")
        .version("v1")
        .description(Some("Replicated files over HTTP; docs/http.md explains it."))
        .license(Some(license))
        .build();
    let document: OpenApi =
        OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build();
    let mut text = document.to_pretty_json().expect("invariant: the document serializes");
    text.push('\n');
    text
}

/// Adds a type, and those that it is made of.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// The document, as an answer.
pub(super) fn answer() -> HttpResponse {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let document: &'static str = DOCUMENT.get_or_init(document);
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(document)
}

/// What there is, as method and path.
#[cfg(test)]
pub(super) fn operations() -> Vec<(Method, &'static str)> {
    OPERATIONS.iter().map(|operation| (method(operation), operation.path)).collect()
}

fn method(operation: &Operation) -> Method {
    match operation.method {
        HttpMethod::Put => Method::PUT,
        HttpMethod::Post => Method::POST,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Head => Method::HEAD,
        _ => Method::GET,
    }
}

/// Adds an operation to its path.
fn merge(item: PathItem, operation: &Operation) -> PathItem {
    let route = Route::parse(&method(operation), &operation.path.replace("{name}", "name"));
    let role = route.ok().and_then(|route| route.role());
    let mut built = OperationBuilder::new().summary(Some(operation.summary));
    if let Some(role) = role {
        built = built
            .description(Some(format!("Takes the role `{role}`.")))
            .security(SecurityRequirement::new::<_, [&str; 0], _>("token", []));
    }
    for parameter in operation.parameters {
        let required = matches!(parameter.place, ParameterIn::Path) || parameter.name == "q";
        let required = if required { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(parameter.name)
            .parameter_in(parameter.place.clone())
            .required(required)
            .description(Some(parameter.what))
            .schema(Some(parameter.kind.schema()));
        built = built.parameter(parameter);
    }
    if let Some(media) = operation.body {
        let content = ContentBuilder::new().schema(Some(media.schema())).build();
        let required =
            if operation.path.ends_with("transfer") { Required::False } else { Required::True };
        let body = RequestBodyBuilder::new()
            .content(media.kind(), content)
            .required(Some(required))
            .build();
        built = built.request_body(Some(body));
    }
    for (status, what, media) in operation.answers {
        let mut answer = ResponseBuilder::new().description(*what);
        if let Some(media) = media {
            let content = ContentBuilder::new().schema(Some(media.schema())).build();
            answer = answer.content(media.kind(), content);
        }
        built = built.response(*status, answer);
    }
    for (status, codes) in operation.problems(role.is_some()) {
        let content = ContentBuilder::new().schema(Some(Media::Json("Problem").schema())).build();
        let answer = ResponseBuilder::new()
            .description(codes.join(", "))
            .content("application/problem+json", content);
        built = built.response(status.to_string(), answer);
    }
    let mut item = item;
    item.merge_operations(PathItem::new(operation.method.clone(), built));
    item
}

impl Operation {
    /// What may go wrong, by status.
    fn problems(&self, guarded: bool) -> BTreeMap<u16, Vec<String>> {
        let of_file = self.path.starts_with("/v1/files");
        let changes =
            matches!(self.method, HttpMethod::Put | HttpMethod::Post | HttpMethod::Delete);
        let (none, changes_file): (&[Code], _) = (&[], changes && of_file);
        let all = [
            self.codes,
            if changes_file { CHANGES } else { none },
            if of_file && !changes { READS } else { none },
            if of_file && matches!(self.body, Some(Media::Bytes)) { BODIES } else { none },
            if changes && !of_file { WISHES } else { none },
            if guarded { ALWAYS } else { none },
        ];
        let mut problems: BTreeMap<u16, Vec<String>> = BTreeMap::new();
        for code in all.into_iter().flatten() {
            let names = problems.entry(code.status().as_u16()).or_default();
            let name = format!("`{code}`");
            if !names.contains(&name) {
                names.push(name);
            }
        }
        problems
    }
}

impl Kind {
    fn schema(self) -> RefOr<Schema> {
        let schema = match self {
            Kind::Text => ObjectBuilder::new().schema_type(Type::String),
            Kind::Number => ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(0)),
            Kind::Flag => ObjectBuilder::new().schema_type(Type::Boolean),
            Kind::OneOf(words) => {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.to_vec()))
            }
        };
        RefOr::T(Schema::Object(schema.build()))
    }
}

impl Media {
    fn kind(self) -> &'static str {
        match self {
            Media::Bytes => "application/octet-stream",
            Media::Text => "text/plain",
            Media::Metrics => "application/openmetrics-text",
            Media::Events => "text/event-stream",
            Media::Json(_) => "application/json",
        }
    }

    fn schema(self) -> RefOr<Schema> {
        match self {
            Media::Bytes => {
                let bytes = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
                RefOr::T(Schema::Object(bytes.build()))
            }
            Media::Text | Media::Metrics => Kind::Text.schema(),
            Media::Events => RefOr::Ref(Ref::from_schema_name("Told")),
            Media::Json(name) => RefOr::Ref(Ref::from_schema_name(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `JANGADA_BLESS=1 cargo test --lib http::openapi` writes it.
    #[test]
    fn the_committed_document_is_the_one_that_is_made() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        if std::env::var_os("JANGADA_BLESS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == document(), "docs/openapi.json is old: bless it (see this test)");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_str(&document()).unwrap();
        let text = document.to_string();
        for (at, mark) in text.match_indices("\"$ref\":\"#/components/schemas/") {
            let rest = &text[at + mark.len()..];
            let name = &rest[..rest.find('"').unwrap()];
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}
