//! curl as the demo's client: the same lines that it prints.

use std::{
    fmt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// What the demo's client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Http {
    One,
    Two,
}

impl Http {
    pub(super) const BOTH: [Self; 2] = [Self::One, Self::Two];

    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::One => "--http1.1",
            Self::Two => "--http2",
        }
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "HTTP/1.1",
            Self::Two => "HTTP/2",
        })
    }
}

/// An answer as `curl -i` shows it.
#[derive(Debug)]
pub(super) struct Answer {
    /// `HTTP/1.1` or `HTTP/2`.
    pub(super) version: String,
    pub(super) status: u16,
    /// Field lines, names in lower case.
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// Which upstream answered, by what it echoed.
    pub(super) fn upstream(&self) -> Option<String> {
        let echo: Value = serde_json::from_str(&self.body).ok()?;
        Some(echo.get("upstream")?.as_str()?.to_owned())
    }
}

/// A curl that knows the gateway.
pub(super) fn command(curlrc: &Path) -> Command {
    let mut curl = plain();
    curl.arg("-K").arg(curlrc);
    curl
}

/// A curl that knows nothing.
fn plain() -> Command {
    let mut curl = Command::new("curl");
    // -q: not what this user has in ~/.curlrc.
    curl.args(["-q", "-sS", "--max-time", "20"]);
    curl.stdin(Stdio::null());
    curl
}

/// Runs one curl line over one protocol.
pub(super) fn fetch<S: AsRef<str>>(curlrc: &Path, http: Http, arguments: &[S]) -> Result<Answer> {
    let mut curl = command(curlrc);
    curl.arg(http.flag());
    answer(curl.args(arguments.iter().map(AsRef::as_ref)))
}

/// Fetches a page from elsewhere than the gateway's listener.
pub(super) fn fetch_plain(url: &str) -> Result<Answer> {
    answer(plain().arg(url))
}

fn answer(curl: &mut Command) -> Result<Answer> {
    let output = curl.arg("-i").output().context("cannot run curl")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("not an HTTP answer: {text:?}"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let version = words.next()?.to_owned();
    let status = words.next()?.parse().ok()?;
    let lower = |line: &str| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}\n", name.to_lowercase()),
        None => line.to_owned(),
    };
    Some(Answer {
        version,
        status,
        head: lines.map(lower).collect(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let text = "HTTP/2 200 \r\nX-Request-Id: abc\r\na: b\r\n\r\n{\"upstream\":\"web-1\"}";
        let answer = parse(text).unwrap();
        assert_eq!((answer.version.as_str(), answer.status), ("HTTP/2", 200));
        assert_eq!(answer.head, "x-request-id: abc\na: b\n");
        assert_eq!(answer.upstream().as_deref(), Some("web-1"));
    }
}
