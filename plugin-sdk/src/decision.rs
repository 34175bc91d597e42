//! What plugins return, and the constructors that make it: plain values of the WIT.

use crate::{
    Decision, Field, Forward, Preference, RequestEdit, Respond, ResponseEdit, Route,
    bindings::async_routing::exports::witgate::plugin0_2_0::routing as async_routing,
};

impl Field {
    /// A header field. The gateway refuses names that are not tokens, and values with CR, LF
    /// or NUL.
    ///
    /// ```
    /// use witgate_sdk::Field;
    ///
    /// let field = Field::new("x-user", "ada");
    /// assert_eq!((field.name.as_str(), &field.value[..]), ("x-user", &b"ada"[..]));
    /// ```
    pub fn new(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

impl Route {
    /// Sends the request to a pool of the configuration.
    ///
    /// ```
    /// use witgate_sdk::{RequestEdit, Route};
    ///
    /// let route: Route = Route::forward("api").rule("api, version 1").edit(RequestEdit::path("/v1")).into();
    /// ```
    pub fn forward(pool: impl Into<String>) -> Forward {
        Forward {
            pool: pool.into(),
            rule: None,
            edits: Vec::new(),
        }
    }

    /// Answers at once with this status, 200 to 599.
    ///
    /// ```
    /// use witgate_sdk::Route;
    ///
    /// let route: Route = Route::respond(403).header("cache-control", "no-store").text("Not here.\n").into();
    /// ```
    #[must_use]
    pub fn respond(status: u16) -> Respond {
        Respond {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            rule: None,
        }
    }

    /// Answers with a redirect (RFC 9110 §15.4): 301, 302, 303, 307 or 308, and where to.
    ///
    /// ```
    /// use witgate_sdk::Route;
    ///
    /// let route: Route = Route::redirect(308, "https://shop.example/").into();
    /// ```
    pub fn redirect(status: u16, location: impl Into<String>) -> Respond {
        Self::respond(status).header("location", location.into())
    }
}

impl Forward {
    /// The plugin's own name for the rule that matched, for the access log.
    ///
    /// ```
    /// use witgate_sdk::Route;
    ///
    /// assert_eq!(Route::forward("api").rule("v1").rule.as_deref(), Some("v1"));
    /// ```
    #[must_use]
    pub fn rule(self, rule: impl Into<String>) -> Self {
        Self {
            rule: Some(rule.into()),
            ..self
        }
    }

    /// A change that belongs to the rule, such as another path.
    ///
    /// ```
    /// use witgate_sdk::{RequestEdit, Route};
    ///
    /// let forward = Route::forward("api").edit(RequestEdit::path("/v1"));
    /// assert_eq!(forward.edits, [RequestEdit::path("/v1")]);
    /// ```
    #[must_use]
    pub fn edit(mut self, edit: RequestEdit) -> Self {
        self.edits.push(edit);
        self
    }
}

impl Decision {
    /// Leaves the request to the next plugin.
    ///
    /// ```
    /// use witgate_sdk::Decision;
    ///
    /// assert_eq!(Decision::pass(), Decision::Pass(Vec::new()));
    /// ```
    #[must_use]
    pub fn pass() -> Self {
        Self::Pass(Vec::new())
    }

    /// Leaves the request to the next plugin, changed like this.
    ///
    /// ```
    /// use witgate_sdk::{Decision, RequestEdit};
    ///
    /// let decision = Decision::pass_with(vec![RequestEdit::set("x-user", "ada")]);
    /// ```
    #[must_use]
    pub fn pass_with(edits: Vec<RequestEdit>) -> Self {
        Self::Pass(edits)
    }
}

impl From<Forward> for Decision {
    fn from(Forward { pool, rule, edits }: Forward) -> Self {
        Self::Forward(async_routing::Forward { pool, rule, edits })
    }
}

impl From<Respond> for Decision {
    fn from(respond: Respond) -> Self {
        let Respond {
            status,
            headers,
            body,
            rule,
        } = respond;
        Self::Respond(async_routing::Respond {
            status,
            headers,
            body,
            rule,
        })
    }
}

impl From<Forward> for Route {
    fn from(forward: Forward) -> Self {
        Self::Forward(forward)
    }
}

impl Respond {
    /// Adds a header field.
    ///
    /// ```
    /// use witgate_sdk::{Field, Route};
    ///
    /// let respond = Route::respond(401).header("www-authenticate", "Bearer");
    /// assert_eq!(respond.headers, [Field::new("www-authenticate", "Bearer")]);
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Field::new(name, value));
        self
    }

    /// The body, at most 64 KiB.
    ///
    /// ```
    /// use witgate_sdk::Route;
    ///
    /// let respond = Route::respond(200).header("content-type", "application/json").body("{}");
    /// assert_eq!(respond.body, b"{}");
    /// ```
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    /// A body of plain text, with its content type.
    ///
    /// ```
    /// use witgate_sdk::{Field, Route};
    ///
    /// let respond = Route::respond(403).text("Not here.\n");
    /// assert_eq!(respond.headers, [Field::new("content-type", "text/plain; charset=utf-8")]);
    /// ```
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.header("content-type", "text/plain; charset=utf-8")
            .body(text.into())
    }

    /// The plugin's own name for the rule that matched, for the access log.
    ///
    /// ```
    /// use witgate_sdk::Route;
    ///
    /// assert_eq!(Route::respond(403).rule("blocked").rule.as_deref(), Some("blocked"));
    /// ```
    #[must_use]
    pub fn rule(self, rule: impl Into<String>) -> Self {
        Self {
            rule: Some(rule.into()),
            ..self
        }
    }
}

impl From<Respond> for Route {
    fn from(respond: Respond) -> Self {
        Self::Respond(respond)
    }
}

impl Preference {
    /// The endpoint of this id, if it can serve.
    ///
    /// ```
    /// use witgate_sdk::Preference;
    ///
    /// assert_eq!(Preference::endpoint("b"), Preference::Endpoint("b".to_owned()));
    /// ```
    pub fn endpoint(id: impl Into<String>) -> Self {
        Self::Endpoint(id.into())
    }
}

impl RequestEdit {
    /// Replaces all fields of this name by one.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/").header("x-a", "1").build();
    /// let after = request.after(&[RequestEdit::set("x-a", "2")]);
    /// assert_eq!(after.header_values("x-a"), [b"2"]);
    /// ```
    pub fn set(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Set(Field::new(name, value))
    }

    /// Adds a field behind those of the same name.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/").header("x-a", "1").build();
    /// let after = request.after(&[RequestEdit::append("x-a", "2")]);
    /// assert_eq!(after.header_values("x-a"), [b"1", b"2"]);
    /// ```
    pub fn append(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Append(Field::new(name, value))
    }

    /// Removes all fields of this name, if there are any.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/").header("x-a", "1").build();
    /// let after = request.after(&[RequestEdit::remove("x-a")]);
    /// assert_eq!(after.header("x-a"), None);
    /// ```
    pub fn remove(name: impl Into<String>) -> Self {
        Self::Remove(name.into())
    }

    /// Replaces the path; the query stays.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/api?x=1").header("x-a", "1").build();
    /// let after = request.after(&[RequestEdit::path("/v1")]);
    /// assert_eq!(after.target_uri(), "https://shop.example/v1?x=1");
    /// ```
    pub fn path(path: impl Into<String>) -> Self {
        Self::Path(path.into())
    }

    /// Replaces the query. `RequestEdit::Query(None)` drops it.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/api?x=1").header("x-a", "1").build();
    /// let after = request.after(&[RequestEdit::query("x=2")]);
    /// assert_eq!(after.target_uri(), "https://shop.example/api?x=2");
    /// ```
    pub fn query(query: impl Into<String>) -> Self {
        Self::Query(Some(query.into()))
    }

    /// Replaces the host (and port) that the upstream is told.
    ///
    /// ```
    /// use witgate_sdk::{Request, RequestEdit};
    ///
    /// let request = Request::get("https://shop.example/").header("x-a", "1").build();
    /// let after = request.after(&[RequestEdit::authority("web.internal")]);
    /// assert_eq!(after.target_uri(), "https://web.internal/");
    /// ```
    pub fn authority(authority: impl Into<String>) -> Self {
        Self::Authority(authority.into())
    }
}

impl ResponseEdit {
    /// Replaces all fields of this name by one.
    ///
    /// ```
    /// use witgate_sdk::{Response, ResponseEdit};
    ///
    /// let response = Response::with_status(200).header("x-a", "1").build();
    /// let after = response.after(&[ResponseEdit::set("x-a", "2")]);
    /// assert_eq!(after.header_values("x-a"), [b"2"]);
    /// ```
    pub fn set(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Set(Field::new(name, value))
    }

    /// Adds a field behind those of the same name: a further `set-cookie`.
    ///
    /// ```
    /// use witgate_sdk::{Response, ResponseEdit};
    ///
    /// let response = Response::with_status(200).header("x-a", "1").build();
    /// let after = response.after(&[ResponseEdit::append("x-a", "2")]);
    /// assert_eq!(after.header_values("x-a"), [b"1", b"2"]);
    /// ```
    pub fn append(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Append(Field::new(name, value))
    }

    /// Removes all fields of this name, if there are any.
    ///
    /// ```
    /// use witgate_sdk::{Response, ResponseEdit};
    ///
    /// let response = Response::with_status(200).header("x-a", "1").build();
    /// let after = response.after(&[ResponseEdit::remove("x-a")]);
    /// assert_eq!(after.header("x-a"), None);
    /// ```
    pub fn remove(name: impl Into<String>) -> Self {
        Self::Remove(name.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_says_where_to() {
        let redirect = Route::redirect(301, "/new").rule("moved");
        assert_eq!(redirect.headers, [Field::new("location", "/new")]);
        assert_eq!(redirect.rule.as_deref(), Some("moved"));
        assert_eq!(redirect.status, 301);
    }

    #[test]
    fn text_has_a_content_type() {
        let respond = Route::respond(200).text("hello");
        assert_eq!(
            respond.headers,
            [Field::new("content-type", "text/plain; charset=utf-8")]
        );
        assert_eq!(respond.body, b"hello");
    }

    #[test]
    fn edits_of_a_route_keep_their_order() {
        let forward = Route::forward("api")
            .edit(RequestEdit::path("/a"))
            .edit(RequestEdit::Query(None));
        assert_eq!(
            forward.edits,
            [RequestEdit::path("/a"), RequestEdit::Query(None)]
        );
    }
}
