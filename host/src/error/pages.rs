//! The bodies of the gateway's own errors: an operator's file for the status, else a few words of
//! the gateway's, in the form that the client accepts.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::de::IgnoredAny;

use super::{
    Cause,
    accept::best,
    template::{Facts, MOST_PLACES, Template},
};
use crate::{
    config::{self, Form, PageStatuses},
    plugin::RequestId,
};

/// The largest file, bytes; Azure's limit.
const MOST_BYTES: u64 = 1 << 20;

/// A file cannot be used as an error page.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub struct PageError {
    /// Where the configuration names it.
    pub key: String,
    file: PathBuf,
    #[source]
    problem: PageProblem,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
enum PageProblem {
    #[error("cannot read the file: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is not a regular file")]
    NoFile,
    #[error("it is larger than 1 MiB")]
    TooLarge,
    #[error("it is empty")]
    Empty,
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("it has {0} placeholders, more than the {MOST_PLACES} that are allowed")]
    TooManyPlaces(usize),
    #[error("with its placeholders filled it is not JSON: {0}")]
    NotJson(serde_json::Error),
}

/// All pages of a listener.
#[derive(Debug, Default)]
pub struct ErrorPages(Vec<Page>);

#[derive(Debug)]
struct Page {
    statuses: PageStatuses,
    form: Form,
    template: Template,
}

/// The body of one error.
pub struct ErrorBody {
    /// Its media type.
    pub content_type: HeaderValue,
    /// Its bytes; no piece is empty.
    pub pieces: Vec<Bytes>,
}

impl ErrorPages {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: &config::ErrorPages) -> Result<Self, PageError> {
        let pages = config.0.iter().map(|page| {
            let template = template(&page.file, page.form).map_err(|problem| PageError {
                key: page.key.clone(),
                file: page.file.clone(),
                problem,
            })?;
            Ok(Page {
                statuses: page.statuses,
                form: page.form,
                template,
            })
        });
        pages.collect::<Result<_, _>>().map(Self)
    }

    /// The body for a client with this `Accept`. Of the forms that it likes equally well it gets
    /// one that there is a page in, else plain text.
    pub fn body(&self, cause: Cause, id: RequestId, accept: Option<&HeaderValue>) -> ErrorBody {
        let status = cause.status();
        let mut offered = [Form::Html, Form::Json, Form::Text];
        offered.sort_by_key(|form| match (self.page(status, *form), form) {
            (Some(_), _) => 0,
            (None, Form::Text) => 1,
            (None, _) => 2,
        });
        let form = best(accept, &offered);
        let (template, content_type) = match (self.page(status, form), form) {
            (Some(page), Form::Json) => (page, "application/json"),
            (Some(page), _) => (page, own(form).1),
            (None, _) => own(form),
        };
        ErrorBody {
            content_type: HeaderValue::from_static(content_type),
            pieces: template.fill(&Facts { status, cause, id }),
        }
    }

    fn page(&self, status: StatusCode, form: Form) -> Option<&Template> {
        let status = status.as_u16();
        let find = |statuses| {
            let mut pages = self.0.iter();
            pages.find(|page| page.form == form && page.statuses == statuses)
        };
        find(PageStatuses::One(status))
            .or_else(|| find(PageStatuses::Class(status / 100)))
            .map(|page| &page.template)
    }
}

/// The gateway's own words, and their media type. JSON is that of RFC 9457, whose `type` is
/// `about:blank` when it is not there.
fn own(form: Form) -> (&'static Template, &'static str) {
    static HTML: LazyLock<Template> =
        LazyLock::new(|| Template::new(include_str!("own.html").to_owned(), Form::Html));
    static JSON: LazyLock<Template> =
        LazyLock::new(|| Template::new(include_str!("own.json").to_owned(), Form::Json));
    static TEXT: LazyLock<Template> =
        LazyLock::new(|| Template::new(include_str!("own.txt").to_owned(), Form::Text));
    match form {
        Form::Html => (&HTML, "text/html; charset=utf-8"),
        Form::Json => (&JSON, "application/problem+json"),
        Form::Text => (&TEXT, "text/plain; charset=utf-8"),
    }
}

fn template(file: &Path, form: Form) -> Result<Template, PageProblem> {
    let text = read(file)?;
    if text.is_empty() {
        return Err(PageProblem::Empty);
    }
    let template = Template::new(text, form);
    let places = template.places();
    if places > MOST_PLACES {
        return Err(PageProblem::TooManyPlaces(places));
    }
    if form == Form::Json {
        let example = template.fill(&Facts {
            status: StatusCode::BAD_GATEWAY,
            cause: Cause::ConnectRefused,
            id: RequestId(0),
        });
        serde_json::from_slice::<IgnoredAny>(&example.concat()).map_err(PageProblem::NotJson)?;
    }
    Ok(template)
}

fn read(file: &Path) -> Result<String, PageProblem> {
    // Looked at before it is opened: opening a pipe would wait for whoever writes to it.
    if !fs::metadata(file)?.is_file() {
        return Err(PageProblem::NoFile);
    }
    let mut bytes = Vec::new();
    File::open(file)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(PageProblem::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| PageProblem::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(statuses: PageStatuses, form: Form, text: &str) -> Page {
        Page {
            statuses,
            form,
            template: Template::new(text.to_owned(), form),
        }
    }

    fn of(pages: &ErrorPages, cause: Cause, accept: &'static str) -> (String, String) {
        let accept = HeaderValue::from_static(accept);
        let body = pages.body(cause, RequestId(7), Some(&accept));
        let text = String::from_utf8(body.pieces.concat()).expect("text");
        let kind = body.content_type.to_str().expect("text").to_owned();
        (kind, text)
    }

    #[test]
    fn the_gateways_own_words_come_in_each_form() {
        let none = ErrorPages::default();
        let id = "00000000000000000000000000000007";
        let (kind, text) = of(&none, Cause::NoRoute, "*/*");
        assert_eq!(kind, "text/plain; charset=utf-8");
        assert_eq!(text, format!("404 Not Found: no-route (request {id})\n"));
        let (kind, json) = of(&none, Cause::NoRoute, "application/json");
        assert_eq!(kind, "application/problem+json");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let expected = serde_json::json!({
            "status": 404, "title": "Not Found", "cause": "no-route", "request_id": id
        });
        assert_eq!(json, expected);
        let (kind, html) = of(&none, Cause::NoRoute, "text/html");
        assert_eq!(kind, "text/html; charset=utf-8");
        for part in ["404", "Not Found", "no-route", id] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("{status}") && html.len() < 2048);
    }

    #[test]
    fn an_exact_status_comes_before_its_class_and_a_page_before_the_gateways_words() {
        let pages = ErrorPages(vec![
            page(PageStatuses::Class(5), Form::Html, "class {status}"),
            page(PageStatuses::One(502), Form::Html, "exact {status}"),
            page(PageStatuses::One(502), Form::Json, "{\"own\":{status}}"),
        ]);
        let refused = Cause::ConnectRefused;
        assert_eq!(of(&pages, refused, "*/*").1, "exact 502");
        assert_eq!(of(&pages, Cause::FirstByteTimeout, "*/*").1, "class 504");
        assert!(of(&pages, Cause::NoRoute, "*/*").1.starts_with("404 Not"));
        let (kind, json) = of(&pages, refused, "application/json, */*");
        assert_eq!(
            (kind.as_str(), json.as_str()),
            ("application/json", "{\"own\":502}")
        );
        let (kind, _) = of(&pages, Cause::FirstByteTimeout, "application/json");
        assert_eq!(kind, "application/problem+json");
        assert!(of(&pages, refused, "text/plain").1.starts_with("502 Bad"));
    }

    #[test]
    fn files_that_cannot_be_pages_are_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        let refusal = |name: &str, bytes: &[u8], form| {
            let file = dir.path().join(name);
            fs::write(&file, bytes).expect("a file");
            template(&file, form).map(|_| ()).map_err(|e| e.to_string())
        };
        let most = vec![b'a'; 1 << 20];
        assert_eq!(refusal("most", &most, Form::Html), Ok(()));
        let more = [&most[..], b"a"].concat();
        for (name, bytes, form, problem) in [
            ("large", &more[..], Form::Html, "it is larger than 1 MiB"),
            ("empty", b"", Form::Text, "it is empty"),
            ("bytes", b"\xff", Form::Html, "it is not UTF-8 text"),
            (
                "places",
                "{cause}".repeat(65).as_bytes(),
                Form::Html,
                "65 placeholders",
            ),
            ("bare", b"{\"cause\": {cause}}", Form::Json, "not JSON: "),
        ] {
            let found = refusal(name, bytes, form).expect_err(name);
            assert!(found.contains(problem), "{name}: {found}");
        }
        for path in [dir.path(), &dir.path().join("absent")] {
            assert!(template(path, Form::Html).is_err(), "{}", path.display());
        }
    }
}
