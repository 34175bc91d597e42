//! Each public item of the SDK has an example of its own: functions, methods, types, traits, macros
//! and modules. That they compile and hold is for the doc tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Expr, ExprLit, ImplItem, Item, Lit, Meta, TraitItem, UseTree, Visibility};

/// The crates, and what in them is no place for examples.
const CRATES: [(&str, &[&str]); 2] = [
    // Generated, with the WIT's docs; `values` names what is public of it.
    ("plugin-sdk/src", &["bindings", "bindings.rs"]),
    ("plugin-sdk/schema/src", &[]),
];

/// What is found in one file.
struct Scan {
    file: String,
    /// The file's own private modules, whose items are found where they are.
    modules: Vec<String>,
    seen: usize,
    without: Vec<String>,
}

impl Scan {
    fn item(&mut self, name: &str, attributes: &[Attribute]) {
        self.seen += 1;
        if !has_example(attributes) {
            self.without.push(format!("{}: {name}", self.file));
        }
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Fn(it) if is_public(&it.vis, &it.attrs) => {
                    self.item(&it.sig.ident.to_string(), &it.attrs);
                }
                Item::Struct(it) if is_public(&it.vis, &it.attrs) => {
                    self.item(&it.ident.to_string(), &it.attrs);
                }
                Item::Enum(it) if is_public(&it.vis, &it.attrs) => {
                    self.item(&it.ident.to_string(), &it.attrs);
                }
                Item::Type(it) if is_public(&it.vis, &it.attrs) => {
                    self.item(&it.ident.to_string(), &it.attrs);
                }
                Item::Trait(it) if is_public(&it.vis, &it.attrs) => {
                    self.item(&it.ident.to_string(), &it.attrs);
                    for method in &it.items {
                        if let TraitItem::Fn(method) = method {
                            self.item(
                                &format!("{}::{}", it.ident, method.sig.ident),
                                &method.attrs,
                            );
                        }
                    }
                }
                Item::Impl(it) if it.trait_.is_none() => {
                    for method in &it.items {
                        if let ImplItem::Fn(method) = method
                            && is_public(&method.vis, &method.attrs)
                        {
                            self.item(&method.sig.ident.to_string(), &method.attrs);
                        }
                    }
                }
                Item::Macro(it) if has(&it.attrs, "macro_export") && !is_hidden(&it.attrs) => {
                    let name = it.ident.as_ref().map(ToString::to_string);
                    self.item(&name.unwrap_or_default(), &it.attrs);
                }
                Item::Use(it) if is_public(&it.vis, &it.attrs) && !self.is_own(&it.tree) => {
                    self.item(&uses(&it.tree), &it.attrs);
                }
                // Documented here, or in its own file.
                Item::Mod(it) if is_public(&it.vis, &it.attrs) => match &it.content {
                    Some(_) => self.item(&it.ident.to_string(), &it.attrs),
                    None => self.module(&it.ident.to_string()),
                },
                _ => {}
            }
        }
    }

    /// A public module in a file of its own, beside `lib.rs`.
    fn module(&mut self, name: &str) {
        let folder = Path::new(&self.file).parent().unwrap();
        let file = parsed(&folder.join(format!("{name}.rs")));
        self.item(name, &file.attrs);
    }

    /// Whether what is passed on is of one of the private modules.
    fn is_own(&self, tree: &UseTree) -> bool {
        matches!(tree, UseTree::Path(path) if self.modules.contains(&path.ident.to_string()))
    }
}

/// The names that a `use` makes.
fn uses(tree: &UseTree) -> String {
    match tree {
        UseTree::Path(path) => uses(&path.tree),
        UseTree::Name(name) => name.ident.to_string(),
        UseTree::Rename(name) => name.rename.to_string(),
        UseTree::Glob(_) => "*".to_owned(),
        UseTree::Group(group) => group.items.iter().map(uses).collect::<Vec<_>>().join(", "),
    }
}

fn is_public(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    matches!(visibility, Visibility::Public(_)) && !is_hidden(attributes)
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|one| one.path().is_ident(name))
}

fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|one| match &one.meta {
        Meta::List(list) => one.path().is_ident("doc") && list.tokens.to_string() == "hidden",
        _ => false,
    })
}

/// Whether a comment has a block that is compiled and run.
fn has_example(attributes: &[Attribute]) -> bool {
    let lines = attributes.iter().filter_map(|one| match &one.meta {
        Meta::NameValue(doc) if one.path().is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let fences = lines.filter(|line| line.trim().starts_with("```"));
    // Each other one ends a block.
    fences.step_by(2).any(|fence| fence.trim() == "```")
}

fn parsed(file: &Path) -> syn::File {
    let text = fs::read_to_string(root().join(file));
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Rust files of a folder and those in it.
fn files(folder: &Path, but: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = folder.join(&name);
        if but.contains(&name.as_str()) {
        } else if entry.path().is_dir() {
            files(&path, but, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

fn scan(file: &str, parsed: &syn::File) -> Scan {
    let private = parsed.items.iter().filter_map(|item| match item {
        Item::Mod(it) if matches!(it.vis, Visibility::Inherited) => Some(it.ident.to_string()),
        _ => None,
    });
    let mut scan = Scan {
        file: file.to_owned(),
        modules: private.collect(),
        seen: 0,
        without: Vec::new(),
    };
    scan.items(&parsed.items);
    scan
}

#[test]
fn each_public_item_of_the_sdk_has_an_example() {
    let (mut seen, mut without) = (0, Vec::new());
    for (folder, but) in CRATES {
        let mut all = Vec::new();
        files(Path::new(folder), but, &mut all);
        for file in all {
            let found = scan(&file.display().to_string(), &parsed(&file));
            seen += found.seen;
            without.extend(found.without);
        }
    }
    assert!(seen > 170, "{seen} items");
    assert!(without.is_empty(), "no example:\n{}", without.join("\n"));
}

#[test]
fn what_has_no_example_is_found() {
    let source = "
        mod own;
        pub use own::Own;
        pub use other::{One, Two as Three};
        /// Without.
        pub struct Bare;
        /// With.
        /// ```
        /// let _ = 1;
        /// ```
        pub struct Shown;
        impl Shown {
            /// ```text
            /// not run
            /// ```
            pub fn told(&self) {}
            fn private(&self) {}
        }
        impl Clone for Shown {
            fn clone(&self) -> Self { Shown }
        }
        pub trait Role {
            fn act(&self);
        }
        #[doc(hidden)]
        pub fn hidden() {}
        pub(crate) fn inner() {}
        #[macro_export]
        macro_rules! made { () => {} }
        pub mod inline {}
    ";
    let found = scan("a.rs", &syn::parse_file(source).unwrap());
    let names = [
        "One, Three",
        "Bare",
        "told",
        "Role",
        "Role::act",
        "made",
        "inline",
    ];
    assert_eq!(found.without, names.map(|name| format!("a.rs: {name}")));
    assert_eq!(found.seen, names.len() + 1);
}
