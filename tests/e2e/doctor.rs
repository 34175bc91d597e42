//! `witgate doctor`: what is lacking is named, with the command that mends it.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use witgate_tests::{
    TempDir,
    gateway::{Pool, Setup, binary, command},
};

/// Runs it with nothing in the environment but this PATH.
async fn doctor(path: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(&[&["doctor"], arguments].concat());
    let output = command
        .env_clear()
        .env("PATH", path)
        .output()
        .await
        .unwrap();
    (output.status.code(), text(&output))
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// A program that prints this.
fn program(dir: &Path, name: &str, script: &str) {
    let file = dir.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A PATH with a Rust of this version that has the target.
fn rust(version: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let libraries = dir.path().join("lib");
    fs::create_dir(&libraries).unwrap();
    fs::write(libraries.join("libstd-1.rlib"), "").unwrap();
    let script = format!(
        "case \"$1\" in --print) echo {} ;; *) echo 'rustc {version} (x 2030-01-01)' ;; esac",
        libraries.display()
    );
    program(dir.path(), "rustc", &script);
    program(dir.path(), "cargo", &format!("echo 'cargo {version}'"));
    dir
}

#[tokio::test]
async fn a_machine_with_what_is_needed_is_well() {
    let path = rust("1.999.0");
    let (code, said) = doctor(path.path(), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "ok        cargo: cargo 1.999.0",
        "ok        a compiler for plugins in Rust: rustc with the target wasm32-unknown-unknown",
        "optional  node, for plugins in JavaScript: no node in the PATH\n              apt-get install nodejs npm",
        "optional  openssl",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn what_is_lacking_is_named_with_what_mends_it() {
    let old = rust("1.60.0");
    let (code, said) = doctor(old.path(), &[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("is older than 1.") && said.contains("rustup update stable"),
        "{said}"
    );
    assert!(said.contains("error: 1 thing lacking"), "{said}");

    let empty = TempDir::new().unwrap();
    let wanted = ["--lang", "js", "--lang", "python", "--lang", "c"];
    let (code, said) = doctor(empty.path(), &wanted).await;
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "LACKING   node, for plugins in JavaScript: no node in the PATH\n              apt-get install nodejs npm",
        "LACKING   Python, for plugins in Python: no python3 or python in the PATH\n              apt-get install python3",
        "LACKING   clang, for plugins in C: no clang in the PATH\n              apt-get install clang lld wasi-libc libclang-rt-dev-wasm32",
        "error: 4 things lacking",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    program(
        empty.path(),
        "clang",
        "echo 'stdin:1: fatal error: no stdlib.h' >&2; exit 1",
    );
    let (_, said) = doctor(empty.path(), &["--lang", "c"]).await;
    let part = "LACKING   a linker and a C library for WebAssembly, for plugins in C: stdin:1: fatal error: no stdlib.h\n";
    assert!(said.contains(part), "{said}");
    fs::remove_file(empty.path().join("clang")).unwrap();
    if !Path::new("/usr/bin/rustc").exists() {
        let (code, said) = doctor(empty.path(), &[]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("rustup target add wasm32-unknown-unknown"),
            "{said}"
        );
    }
}

/// With no wasm-ld in the PATH: the SDK's clang has its own.
#[tokio::test]
async fn the_sdk_that_is_named_is_looked_at_and_no_other() {
    let path = TempDir::new().unwrap();
    program(path.path(), "clang", "echo 'clang of the PATH'");
    let sdk = TempDir::new().unwrap();
    let says = async || {
        let mut command = command(&["doctor", "--lang", "c"]);
        command.env_clear().env("PATH", path.path());
        text(
            &command
                .env("WASI_SDK_PATH", sdk.path())
                .output()
                .await
                .unwrap(),
        )
    };
    let mend = "\n              unset WASI_SDK_PATH, or name the SDK's folder\n";
    let shown = sdk.path().display();
    let said = says().await;
    let wrong = format!(
        "LACKING   clang, for plugins in C: WASI_SDK_PATH is {shown}, which has no bin/clang{mend}"
    );
    assert!(said.contains(&wrong), "{said}");
    let bin = sdk.path().join("bin");
    fs::create_dir(&bin).unwrap();
    program(&bin, "clang", "echo 'clang of the SDK'");
    let said = says().await;
    for part in [
        format!("ok        clang, for plugins in C: clang of the SDK ({shown}/bin/clang)"),
        "ok        a linker and a C library for WebAssembly, for plugins in C: it is".to_owned(),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    assert!(!said.contains("LACKING"), "{said}");
    program(&bin, "clang", "echo 'error: no wasm-ld' >&2; exit 1");
    let said = says().await;
    for part in ["/bin/clang tells no version", "error: no wasm-ld"] {
        assert!(said.contains(&format!("{part}{mend}")), "{part}: {said}");
    }
}

#[tokio::test]
async fn what_a_gateway_lacks_is_named_with_what_mends_it() {
    let path = rust("1.999.0");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::new()
        .address(address)
        .plugin_defaults("cache = \"cache\"")
        .default_pool(
            "web",
            Pool::of("endpoints = [\"10.0.0.4:443\"]\ntrust.public = true"),
        );
    setup.write();
    let cache = setup.dir().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let file = setup.file().display().to_string();
    let (code, said) = doctor(path.path(), &["--config", &file]).await;
    assert_eq!(code, Some(1), "{said}");
    let busy = format!("LACKING   listener public: {address}: Address already in use");
    let port = format!("ss -ltnp 'sport = :{}'", address.port());
    for part in [
        "ok        the plugin folder: ",
        "LACKING   plugins.cache: ",
        "chmod 0700 ",
        &busy,
        &port,
        "error: 2 things lacking",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    drop(taken);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    let (code, said) = doctor(path.path(), &["--config", &file]).await;
    assert_eq!(code, Some(0), "{said}");

    let few = format!(
        "ulimit -n 600; exec \"{}\" doctor --config \"{file}\"",
        binary().display()
    );
    let few = tokio::process::Command::new("/bin/sh")
        .args(["-c", &few])
        .env_clear()
        .env("PATH", path.path())
        .output()
        .await
        .unwrap();
    assert!(
        text(&few).contains("LACKING   open files: the process may open 600"),
        "{few:?}"
    );

    fs::remove_dir_all(setup.plugins()).unwrap();
    let (_, said) = doctor(path.path(), &["--config", &file]).await;
    assert!(
        said.contains("mkdir -p ") || said.contains("plugins.dir"),
        "{said}"
    );
    fs::write(setup.file(), "workers = 0\n").unwrap();
    let (code, said) = doctor(path.path(), &["--config", &file]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("LACKING   the configuration: ") && said.contains("witgate check"),
        "{said}"
    );
}
