//! The `curl` command as a client, as the README tells people to use it.

use std::{net::SocketAddr, path::Path};

use tokio::process::Command;

use crate::Http;

/// What curl printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurlAnswer {
    /// `HTTP/1.1` or `HTTP/2`.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// Field lines as received.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Runs curl on a URL whose host, whatever it is, is found at this address; trusts `root`.
pub async fn curl(
    address: SocketAddr,
    root: &Path,
    http: Http,
    url: &str,
    arguments: &[&str],
) -> CurlAnswer {
    let version = match http {
        Http::One => "--http1.1",
        Http::Two => "--http2",
    };
    let output = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "20", version, "--connect-to"])
        .arg(format!("::{}:{}", address.ip(), address.port()))
        .arg("--cacert")
        .arg(root)
        .args(arguments)
        .arg(url)
        .output()
        .await
        .expect("curl is installed");
    let [printed, errors] =
        [&output.stdout, &output.stderr].map(|one| String::from_utf8_lossy(one));
    assert!(output.status.success(), "curl {url}: {errors}\n{printed}");
    parse(&printed)
}

fn parse(text: &str) -> CurlAnswer {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let (line, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = line.split(' ');
    CurlAnswer {
        version: words.next().unwrap_or("").to_owned(),
        status: words.next().unwrap_or("").parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
