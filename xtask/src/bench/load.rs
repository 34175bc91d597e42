//! Load on a server: Debian's wrk and h2load, and the tests' own client for new connections. All
//! are told to use X25519 and AES-128-GCM, so that every server does the same cryptography.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::peers::{Running, Stage};
use crate::command;

/// OpenSSL's configuration of the load generators.
const OPENSSL: &str = "openssl_conf=o\n[o]\nssl_conf=s\n[s]\nsystem_default=d\n[d]\n\
    MinProtocol=TLSv1.3\nCiphersuites=TLS_AES_128_GCM_SHA256\nGroups=X25519\n";

/// For wrk: what it sends, and one line of what came of it.
const SCRIPT: &str = r#"
function init(args)
    local bytes = tonumber(args[1] or "")
    if bytes then wrk.method, wrk.body = "POST", string.rep("x", bytes) end
    text = wrk.format()
end
function request() return text end
function done(summary, latency)
    local e = summary.errors
    print(string.format("RESULT %d %d %d %d %d", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.timeout + e.status,
        latency:percentile(50), latency:percentile(99)))
end
"#;

/// Each connection waits 20 ms on average between two requests.
const PACE: &str = "function delay() return math.random(10, 30) end\n";
/// So that they make 3,000 requests a second, with some for the time of the answers.
const PACED_CONNECTIONS: u32 = 64;
const UPLOAD_CONNECTIONS: u32 = 8;
const UPLOAD: &str = "1048576";

/// Beyond the time of the load itself.
const GRACE: Duration = Duration::from_secs(60);

/// What is asked, how often and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// HTTP/1.1 on connections that stay, the next request at once.
    Wrk {
        /// How many.
        connections: u32,
        /// What is asked for.
        path: &'static str,
    },
    /// HTTP/1.1 with thinking time, some 3,000 requests a second.
    Paced,
    /// HTTP/1.1, each request with 1 MiB.
    Upload,
    /// HTTP/2 on 8 connections with 16 streams each.
    H2load,
    /// HTTP/1.1 on a new connection for each request, from two clients.
    Connect {
        /// Whether handshakes after the first are resumed.
        resume: bool,
    },
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Done {
    /// With a good answer or not.
    pub(crate) requests: f64,
    /// Without one.
    pub(crate) failed: f64,
    pub(crate) seconds: f64,
    /// Median, and what one percent exceeds, ms; only some tell.
    pub(crate) latencies: Option<(f64, f64)>,
}

impl Load {
    pub(crate) const fn wrk(connections: u32, path: &'static str) -> Self {
        Self::Wrk { connections, path }
    }

    /// How long a turn of so many seconds takes: longer where opening the connections does.
    pub(crate) fn seconds(self, usual: u64) -> u64 {
        match self {
            Self::Wrk { connections, .. } if connections >= 1000 => usual * 4,
            _ => usual,
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(self, stage: &Stage, server: &Running, seconds: u64) -> Result<Done> {
        let mut command = self.command(stage, server, seconds)?;
        let text = output(&mut command, Duration::from_secs(seconds) + GRACE)?;
        let done = self.read(&text, seconds);
        let done = done.with_context(|| format!("{command:?} printed\n{text}"))?;
        ensure!(done.requests > 0.0, "{command:?} made no request:\n{text}");
        Ok(done)
    }

    /// The program.
    pub(crate) fn command(self, stage: &Stage, server: &Running, seconds: u64) -> Result<Command> {
        let cookie = format!("cookie: {}", stage.cookie());
        let url = |path| format!("https://localhost:{}{path}", server.port());
        let wrk = |connections: u32, path, script: &str, arguments: &[&str]| -> Result<Command> {
            let file = stage.dir().join("wrk.lua");
            fs::write(&file, script)?;
            let mut command = Command::new("wrk");
            command
                .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")])
                .args(["--timeout", "20s", "-H", &cookie, "-s"])
                .arg(file)
                .arg(url(path))
                .arg("--")
                .args(arguments);
            Ok(command)
        };
        let mut command = match self {
            Self::Wrk { connections, path } => wrk(connections, path, SCRIPT, &[])?,
            Self::Paced => wrk(PACED_CONNECTIONS, "/128", &[SCRIPT, PACE].concat(), &[])?,
            Self::Upload => wrk(UPLOAD_CONNECTIONS, "/upload", SCRIPT, &[UPLOAD])?,
            Self::H2load => {
                let mut command = Command::new("h2load");
                command
                    .args(["-t1", "-c8", "-m16", &format!("-D{seconds}"), "-H", &cookie])
                    .arg(url("/128"));
                command
            }
            Self::Connect { resume } => {
                let mut command = stage.client("connect", server);
                command.args(["--seconds", &seconds.to_string()]);
                if resume {
                    command.arg("--resume");
                }
                command
            }
        };
        command.env("OPENSSL_CONF", openssl_configuration(stage)?);
        Ok(command)
    }

    fn read(self, text: &str, seconds: u64) -> Option<Done> {
        match self {
            Self::Wrk { .. } | Self::Paced | Self::Upload => wrk_result(text),
            Self::H2load => h2load_result(text, seconds),
            Self::Connect { resume } => connect_result(text, resume, seconds),
        }
    }
}

fn openssl_configuration(stage: &Stage) -> Result<PathBuf> {
    let file = stage.dir().join("openssl.cnf");
    fs::write(&file, OPENSSL)?;
    Ok(file)
}

/// What a program writes until it ends well, in a limited time.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let mut log = tempfile::NamedTempFile::new()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log.reopen()?)
        .stderr(log.reopen()?)
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let status = command::wait(&mut child, limit)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let mut text = String::new();
    std::io::Read::read_to_string(log.as_file_mut(), &mut text)?;
    match status {
        Some(status) if status.success() => Ok(text),
        Some(status) => bail!("{command:?}: {status}:\n{text}"),
        None => bail!("{command:?}: not done after {} s", limit.as_secs()),
    }
}

fn wrk_result(text: &str) -> Option<Done> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let [requests, micros, failed, p50, p99] = numbers(line)?;
    Some(Done {
        requests,
        failed,
        seconds: micros / 1e6,
        latencies: Some((p50 / 1e3, p99 / 1e3)),
    })
}

/// `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout`
fn h2load_result(text: &str, seconds: u64) -> Option<Done> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))?;
    let only_numbers: String = line
        .chars()
        .map(|c| if c.is_ascii_digit() { c } else { ' ' })
        .collect();
    let [_, _, _, succeeded, failed, errored, timeout] = numbers(&only_numbers)?;
    let failed = failed + errored + timeout;
    Some(Done {
        requests: succeeded + failed,
        failed,
        seconds: seconds as f64,
        latencies: None,
    })
}

/// All but each client's first handshake must be of the kind that was asked for.
fn connect_result(text: &str, resume: bool, seconds: u64) -> Option<Done> {
    let [requests, resumed, failed] = numbers(text)?;
    let is_right = match resume {
        true => resumed > 0.9 * requests,
        false => resumed == 0.0,
    };
    is_right.then_some(Done {
        requests,
        failed,
        seconds: seconds as f64,
        latencies: None,
    })
}

fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let words = text.split_whitespace();
    let numbers: Vec<f64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let wrk = wrk_result("  1 threads\nRESULT 1000 2000000 3 250 610\n");
        assert_eq!(
            wrk,
            Some(Done {
                requests: 1000.0,
                failed: 3.0,
                seconds: 2.0,
                latencies: Some((0.25, 0.61)),
            })
        );
        let line = "requests: 90 total, 90 started, 88 done, 85 succeeded, 3 failed, 1 errored, 1 timeout\n";
        let h2load = h2load_result(line, 2);
        assert_eq!(
            h2load.map(|done| (done.requests, done.failed)),
            Some((90.0, 5.0))
        );
        let connect = connect_result("100 98 0\n", true, 2);
        assert_eq!(connect.map(|done| done.requests), Some(100.0));
    }

    #[test]
    fn handshakes_of_the_other_kind_are_no_result() {
        assert_eq!(connect_result("100 40 0\n", true, 2), None);
        assert_eq!(connect_result("100 1 0\n", false, 2), None);
    }

    #[test]
    fn a_program_that_fails_is_told_with_what_it_wrote() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such host; exit 3"]);
        let error = output(&mut command, GRACE).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("no such host")));
    }
}
