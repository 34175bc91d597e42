//! `listeners.https_redirect`: where all requests of a plain listener are sent.

use http::Uri;

use super::{check::Check, hosts, opening::ListenerProtocol, raw};

/// Where all requests of a plain listener are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsRedirect {
    /// 301, 302, 303, 307 or 308. Default 308.
    pub status: u16,
    /// To which place.
    pub to: RedirectTo,
    /// What becomes of the request's path. Default keep.
    pub path: RedirectPart,
    /// What becomes of its query. Default keep.
    pub query: RedirectPart,
}

/// The place that requests are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectTo {
    /// The host that the request is for.
    SameHost {
        /// Where HTTPS is, from the client's point of view. 1 to 65535, default 443.
        port: u16,
    },
    /// A URL of HTTPS, to which path and query are appended where they are kept: it ends
    /// without `/` before a path and with a path before a query.
    Url(String),
}

/// What becomes of a part of the request's target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RedirectPart {
    /// It stands behind the place.
    #[default]
    Keep,
    /// It is left out.
    Drop,
}

impl Check<'_> {
    pub(super) fn https_redirect(
        &mut self,
        key: &str,
        protocol: ListenerProtocol,
        raw: Option<raw::HttpsRedirect>,
    ) -> Option<HttpsRedirect> {
        let raw = raw?;
        let key = format!("{key}.https_redirect");
        if protocol == ListenerProtocol::Https {
            self.problems.add(
                &key,
                "found `https_redirect`, expected none without protocol = \"http\"",
            );
        }
        let status = raw.status.unwrap_or(308);
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            let message = format!("found {status}, expected 301, 302, 303, 307 or 308");
            self.problems.add(&format!("{key}.status"), message);
        }
        let path = self.redirect_part(&format!("{key}.path"), raw.path.as_deref());
        let query = self.redirect_part(&format!("{key}.query"), raw.query.as_deref());
        let port_is_given = raw.port.is_some();
        let port = self.count(&format!("{key}.port"), raw.port, 1..=65535, 443);
        let to = match raw.to {
            Some(url) => {
                if port_is_given {
                    self.problems.add_unwanted(
                        &format!("{key}.port"),
                        "found `port`, expected none with `to`, which can have one",
                    );
                }
                let url = base(&url, path, query);
                let url = self.problems.take(&format!("{key}.to"), url);
                RedirectTo::Url(url.unwrap_or_default())
            }
            None => RedirectTo::SameHost { port },
        };
        Some(HttpsRedirect {
            status: u16::try_from(status).unwrap_or(308),
            to,
            path,
            query,
        })
    }

    fn redirect_part(&mut self, key: &str, raw: Option<&str>) -> RedirectPart {
        let choices = [("keep", RedirectPart::Keep), ("drop", RedirectPart::Drop)];
        self.choice(key, raw, &choices, RedirectPart::default())
    }
}

/// The form of a URL that what is kept of a request can be appended to.
fn base(url: &str, path: RedirectPart, query: RedirectPart) -> Result<String, String> {
    let wrong = |why: &str| {
        format!(
            "found {url:?}, expected a URL of HTTPS such as \"https://www.shop.example\" or \
             \"https://www.shop.example:8443/moved\"{why}"
        )
    };
    let parsed: Uri = url.parse().map_err(|_| wrong(""))?;
    let authority = parsed.authority().map(ToString::to_string);
    let authority = authority.ok_or_else(|| wrong(""))?;
    if parsed.scheme_str() != Some("https") || hosts::authority(authority).is_err() {
        return Err(wrong(""));
    }
    if url.contains('#') {
        return Err(wrong("; without a fragment"));
    }
    if url.contains('?') && (path, query) != (RedirectPart::Drop, RedirectPart::Drop) {
        return Err(wrong(
            "; it can have a query with path = \"drop\" and query = \"drop\" only",
        ));
    }
    let place = url.split('?').next().unwrap_or(url);
    let has_path = place.matches('/').count() > 2;
    Ok(match path {
        RedirectPart::Keep => url.trim_end_matches('/').to_owned(),
        RedirectPart::Drop if has_path => url.to_owned(),
        RedirectPart::Drop => match url.split_once('?') {
            Some((place, query)) => format!("{place}/?{query}"),
            None => format!("{url}/"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_ends_where_the_rest_begins() {
        use RedirectPart::{Drop, Keep};
        for (url, path, query, expected) in [
            ("https://a", Keep, Keep, "https://a"),
            ("https://a/", Keep, Drop, "https://a"),
            ("https://a:8443/b/", Keep, Keep, "https://a:8443/b"),
            ("https://a", Drop, Keep, "https://a/"),
            ("https://a/b/", Drop, Keep, "https://a/b/"),
            ("https://a?x=/", Drop, Drop, "https://a/?x=/"),
            ("https://[::1]/b?x", Drop, Drop, "https://[::1]/b?x"),
        ] {
            assert_eq!(base(url, path, query).as_deref(), Ok(expected), "{url}");
        }
    }
}
