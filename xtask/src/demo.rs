//! The demo: a gateway on `examples/quickstart`, three upstreams behind it, and curl lines to
//! try; or, with `--check`, a walk through all of them.

mod check;
mod curl;
mod load;
mod pages;
mod stage;
mod swap;
mod tour;
mod walk;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{project::Project, step::step};
use stage::{QUICKSTART, Stage};
use tour::{ADMIN, COOKIES, STOPS};

/// Between two looks at whether it is time to end.
const PAUSE: Duration = Duration::from_millis(100);

/// Shows the demo until Ctrl-C, or checks it. Everything is built already.
pub(crate) fn run(project: &Project, check: bool) -> Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    if check {
        check::run(project)
    } else {
        show(project, &ended)
    }
}

fn show(project: &Project, ended: &AtomicBool) -> Result<()> {
    let stage = Stage::in_place(project)?;
    let mut servers = step("Start upstreams and gateway", || stage.start(project, None))?;
    print_tour(project);
    while !ended.load(Ordering::Relaxed) {
        servers.check()?;
        thread::sleep(PAUSE);
    }
    eprintln!();
    step("End gateway and upstreams", || servers.end())
}

fn print_tour(project: &Project) {
    let curl = format!("curl -K {QUICKSTART}/curlrc");
    println!("\nThe gateway is up. In another terminal, in this folder:\n");
    for stop in &STOPS {
        let arguments: Vec<_> = stop.curl.iter().copied().map(quoted).collect();
        println!("# {}\n{curl} {}\n", stop.title, arguments.join(" "));
    }
    println!(
        "# Sessions that stick: the first answer sets cookies, the next ones go to the same \
         server.\n{curl} -c {COOKIES} https://shop.example/\n\
         {curl} -b {COOKIES} https://shop.example/\n"
    );
    println!("# The same over HTTP/1.1: add --http1.1. And for operators:");
    for (url, _) in ADMIN {
        println!("curl {url}");
    }
    println!("{}", plugin_lines(project));
}

fn plugin_lines(project: &Project) -> String {
    let witgate = project.binary("witgate");
    let witgate = witgate
        .strip_prefix(project.root())
        .unwrap_or(&witgate)
        .display();
    format!(
        "\n# Change a plugin's configuration; the next request obeys it:\n\
         $EDITOR {QUICKSTART}/plugins/20-path-router.toml\n\n\
         # Or make a plugin of your own and drop it in; edit its src/lib.rs and build it again:\n\
         {witgate} plugin new hello\n\
         {witgate} plugin build hello -o {QUICKSTART}/plugins/05-hello.wasm\n\
         curl -K {QUICKSTART}/curlrc https://shop.example/hello\n\n\
         Ctrl-C ends everything.\n"
    )
}

/// An argument as a shell needs it.
fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    if argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn arguments_are_quoted_as_a_shell_needs_it() {
        assert_eq!(quoted("https://shop.example/"), "https://shop.example/");
        assert_eq!(quoted("a b?"), "'a b?'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
