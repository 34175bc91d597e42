//! Plugins in WebAssembly text: small enough to compile in no time, and able to be what the
//! SDK would never build.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

/// Memory, an allocator that never frees, and a `configure` that accepts everything. Below
/// 1024 is room for what a plugin returns.
const COMMON: &str = r#"
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "cabi_realloc")
    (param $old i32) (param $length i32) (param $align i32) (param $new i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $next (i32.add (local.get $at) (local.get $new)))
    (block $enough (loop $more
      (br_if $enough (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      (br $more)))
    (memory.copy (local.get $at) (local.get $old) (local.get $length))
    (local.get $at))
  (func (export "witgate:plugin/lifecycle@0.1.0#configure")
    (param i32 i32) (result i32)
    (i32.const 512))
"#;

/// The canonical ABI's form of `respond { status: 200, headers: [(name, value)] }` at 16, of a
/// name of `name` bytes at 128 and a value of `value` bytes at 192.
fn responding(name: &[u8], value: &[u8]) -> String {
    let (name_length, value_length) = (name.len(), value.len());
    let (name, value) = (escaped(name), escaped(value));
    format!(
        r#"
  (data (i32.const 128) "{name}")
  (data (i32.const 192) "{value}")
  (func $respond (result i32)
    (i32.store8 (i32.const 16) (i32.const 2))
    (i32.store16 (i32.const 20) (i32.const 200))
    (i32.store (i32.const 24) (i32.const 96))
    (i32.store (i32.const 28) (i32.const 1))
    (i32.store (i32.const 96) (i32.const 128))
    (i32.store (i32.const 100) (i32.const {name_length}))
    (i32.store (i32.const 104) (i32.const 192))
    (i32.store (i32.const 108) (i32.const {value_length}))
    (i32.const 16))"#
    )
}

/// A router that answers every request with 200 and this value in `x-answer`; at most 64
/// bytes of letters and digits.
pub fn answering(value: &str) -> Vec<u8> {
    responding_with(b"x-answer", value.as_bytes())
}

/// A router that answers with this field, whatever is in it; name and value at most 64 bytes.
pub fn responding_with(name: &[u8], value: &[u8]) -> Vec<u8> {
    routing(&responding(name, value), "(call $respond)")
}

/// A router that answers with the number of its requests in `x-count`, a digit that it keeps in
/// memory.
pub fn counting() -> Vec<u8> {
    let body = "(i32.store8 (i32.const 300) (i32.add (i32.load8_u (i32.const 300)) (i32.const 1)))
    (i32.store8 (i32.const 192) (i32.add (i32.load8_u (i32.const 300)) (i32.const 48)))
    (call $respond)";
    routing(&responding(b"x-count", b"?"), body)
}

/// A router that decides nothing, with a memory of so many pages from the start.
pub fn with_pages(pages: u32) -> Vec<u8> {
    let begin = format!("(memory (export \"memory\") {pages})");
    let common = COMMON.replace("(memory (export \"memory\") 1)", &begin);
    core(
        "",
        "router",
        &format!(
            "(module {common} (func (export \"witgate:plugin/routing@0.1.0#route\") (result i32) (i32.const 16)))"
        ),
    )
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A router that sends every request to this pool; at most 64 letters and digits.
pub fn forwarding(pool: &str) -> Vec<u8> {
    let length = pool.len();
    let data = format!("(data (i32.const 128) \"{pool}\")");
    let body = format!(
        r#"
    (i32.store8 (i32.const 16) (i32.const 1))
    (i32.store (i32.const 20) (i32.const 128))
    (i32.store (i32.const 24) (i32.const {length}))
    (i32.const 16)"#
    );
    routing(&data, &body)
}

/// A router that executes this in `route` and decides nothing: `unreachable`.
pub fn executing(instructions: &str) -> Vec<u8> {
    routing("", &format!("{instructions} (i32.const 16)"))
}

/// A router that decides nothing once a function has called itself so often.
pub fn recursing(depth: usize) -> Vec<u8> {
    let down = "(func $down (param $left i32) (result i32)
      (if (result i32) (local.get $left)
        (then (i32.add (i32.const 1) (call $down (i32.sub (local.get $left) (i32.const 1)))))
        (else (i32.const 0))))";
    let body = format!("(drop (call $down (i32.const {depth}))) (i32.const 16)");
    routing(down, &body)
}

/// A router that passes, with one function of so many instructions: what they are compiled from
/// is small, what the compiler makes of them is not.
pub fn laborious(instructions: usize) -> Vec<u8> {
    executing(&"(drop (i32.load (i32.const 0)))".repeat(instructions / 3))
}

/// A router with these items and this body of `route`.
pub fn routing(items: &str, body: &str) -> Vec<u8> {
    core(
        "",
        "router",
        &format!(
            r#"(module
  {COMMON}
  {items}
  (func (export "witgate:plugin/routing@0.1.0#route") (result i32)
    {body}))"#
        ),
    )
}

/// A router that asks for the status of a response, which routing has none of.
pub fn asking_for_a_response() -> Vec<u8> {
    core(
        "",
        "router",
        &format!(
            r#"(module
  (import "witgate:plugin/response@0.1.0" "status" (func $status (result i32)))
  {COMMON}
  (func (export "witgate:plugin/routing@0.1.0#route") (result i32)
    (drop (call $status))
    (i32.const 16)))"#
        ),
    )
}

/// A component on WASI 0.2, as `wasm32-wasip2` toolchains make them. It prints a line for
/// each request and answers with the number of its environment variables in `x-environment`.
pub fn on_wasi() -> Vec<u8> {
    let respond = responding(b"x-environment", b"?");
    let module = core(
        "",
        "router",
        &format!(
            r#"(module
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environment (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  {COMMON}
  {respond}
  (data (i32.const 256) "printed by a plugin\n")
  (func (export "witgate:plugin/routing@0.1.0#route") (result i32)
    (i32.store (i32.const 320) (i32.const 256))
    (i32.store (i32.const 324) (i32.const 20))
    (drop (call $write (i32.const 1) (i32.const 320) (i32.const 1) (i32.const 328)))
    (drop (call $environment (i32.const 332) (i32.const 336)))
    (i32.store8 (i32.const 192) (i32.add (i32.const 48) (i32.load (i32.const 332))))
    (call $respond)))"#
        ),
    );
    with_adapter(&module)
}

/// A router on WASI that ends its process, as it thinks, with status 0.
pub fn exiting() -> Vec<u8> {
    let module = core(
        "",
        "router",
        &format!(
            r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  {COMMON}
  (func (export "witgate:plugin/routing@0.1.0#route") (result i32)
    (call $exit (i32.const 0))
    unreachable))"#
        ),
    );
    with_adapter(&module)
}

fn with_adapter(module: &[u8]) -> Vec<u8> {
    ComponentEncoder::default()
        .module(module)
        .unwrap()
        .adapter(
            WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
            WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        )
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

/// Components in each other, so many deep.
pub fn nested(depth: usize) -> Vec<u8> {
    let mut component = wat::parse_str("(component)").unwrap();
    let header = component.clone();
    for _ in 0..depth {
        let mut outer = header.clone();
        section(&mut outer, 4, &component);
        component = outer;
    }
    component
}

/// A component with so many types.
pub fn types(number: u32) -> Vec<u8> {
    let mut content = leb(number as usize);
    content.extend((0..number).map(|_| 0x7f));
    let mut component = wat::parse_str("(component)").unwrap();
    section(&mut component, 7, &content);
    component
}

fn section(component: &mut Vec<u8>, id: u8, content: &[u8]) {
    component.push(id);
    component.extend(leb(content.len()));
    component.extend_from_slice(content);
}

/// Unsigned LEB128.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A router that also imports `acme:bank/transfer@1.0.0`, which no gateway has.
pub fn unknown_import() -> Vec<u8> {
    let respond = responding(b"x-answer", b"rich");
    core(
        "package acme:bank@1.0.0;
        interface transfer { send: func(); }
        world greedy { include witgate:plugin/router@0.1.0; import transfer; }",
        "greedy",
        &format!(
            r#"(module
  (import "acme:bank/transfer@1.0.0" "send" (func $send))
  {COMMON}
  {respond}
  (func (export "witgate:plugin/routing@0.1.0#route") (result i32)
    (call $send)
    (call $respond)))"#
        ),
    )
}

/// A module that wasm-bindgen's tools are to finish, for a browser.
pub fn for_browsers() -> Vec<u8> {
    let import =
        r#"(module (import "__wbindgen_placeholder__" "__wbindgen_describe" (func (param i32))))"#;
    wat::parse_str(import).expect("a module")
}

/// A good component that is no plugin: its world is another one.
pub fn wrong_world() -> Vec<u8> {
    core(
        "package acme:greeter@2.0.0;
        interface greeting { greet: func(); }
        world greeter { export greeting; }",
        "greeter",
        r#"(module (func (export "acme:greeter/greeting@2.0.0#greet")))"#,
    )
}

/// A plugin of a version of the interface that is not there yet.
pub fn another_version() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = "package witgate:plugin@9.0.0;
        interface lifecycle { configure: func(); }
        world router { export lifecycle; }";
    let package = resolve.push_str("test.wit", wit).unwrap();
    let text = r#"(module (func (export "witgate:plugin/lifecycle@9.0.0#configure")))"#;
    embed(&resolve, package, "router", text)
}

/// A core module with the `component-type` section of a world: of `wit`, or, without any, of
/// the plugin interface itself.
fn core(wit: &str, world: &str, text: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/0.1");
    let (mut package, _) = resolve.push_dir(&dir).unwrap();
    if !wit.is_empty() {
        package = resolve.push_str("test.wit", wit).unwrap();
    }
    embed(&resolve, package, world, text)
}

fn embed(resolve: &Resolve, package: PackageId, world: &str, text: &str) -> Vec<u8> {
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    module
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handmade_modules_become_components() {
        let modules = [
            answering("A"),
            forwarding("web"),
            executing("unreachable"),
            asking_for_a_response(),
            unknown_import(),
            wrong_world(),
            another_version(),
        ];
        for module in modules {
            let mut encoder = ComponentEncoder::default().validate(true);
            encoder = encoder.module(&module).unwrap();
            encoder.encode().unwrap();
        }
    }

    #[test]
    fn the_component_on_wasi_asks_for_wasi_0_2() {
        let component = on_wasi();
        let has = |name: &str| {
            component
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        };
        assert!(has("wasi:cli/environment@0.2"));
        assert!(!has("wasi_snapshot_preview1\""));
    }
}
