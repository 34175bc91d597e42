//! What `#[serde(…)]`, `#[schema(…)]` and comments say about types, fields and variants. What
//! changes what serde reads and is not known here is refused: a wrong schema is worse than none.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Expr, ExprLit, Field, Lit, LitStr, Meta, Path, Result, Type, meta::ParseNestedMeta,
    parse_quote, spanned::Spanned as _, token,
};

use crate::{case::Case, reads::As};

/// On a type.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) default: bool,
    pub(crate) strict: bool,
    /// How variants are told apart.
    pub(crate) tagging: Tagging,
    pub(crate) transparent: bool,
    /// Of the fields of a struct, or the variants of an enum.
    pub(crate) rename_fields: Case,
    pub(crate) rename_variants: Case,
    /// Where the whole type reads as another.
    pub(crate) shape: Option<As>,
    pub(crate) doc: String,
    lib: Option<Path>,
}

/// How serde tells the variants of an enum apart.
#[derive(Default, Clone)]
pub(crate) enum Tagging {
    /// By a table's only key: `{ cookie = "a" }`; without fields by a string.
    #[default]
    External,
    /// By trying one after the other.
    Untagged,
    /// By the value of this key, which stands among the variant's.
    Internal(String),
    /// By the value of the first key; the variant is that of the second.
    Adjacent(String, String),
}

/// On a field.
#[derive(Default)]
pub(crate) struct OfField {
    pub(crate) skip: bool,
    pub(crate) default: bool,
    /// Whether its keys stand among those of the struct.
    pub(crate) flatten: bool,
    pub(crate) rename: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) shape: As,
    pub(crate) doc: String,
    pub(crate) range: String,
    pub(crate) shown_default: String,
    /// Whether serde does not ask the type.
    reads_itself: bool,
    bounds: [Option<Expr>; 2],
}

/// On a variant.
#[derive(Default)]
pub(crate) struct OfVariant {
    pub(crate) skip: bool,
    pub(crate) rename: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) rename_fields: Case,
    pub(crate) doc: String,
}

impl Container {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self {
            doc: doc(attributes),
            ..Self::default()
        };
        each(attributes, "schema", |meta| {
            if meta.path.is_ident("crate") {
                found.lib = Some(meta.value()?.parse()?);
            } else if let Some(shape) = As::read(meta)? {
                found.shape = Some(shape);
            } else {
                return Err(meta.error("expected `crate`, `as`, `any`, `choice` or `words`"));
            }
            Ok(())
        })?;
        let is_given = found.shape.is_some();
        let (mut tag, mut content) = (None, None);
        each(attributes, "serde", |meta| {
            let name = name(meta);
            match name.as_str() {
                "default" => found.default = true,
                "deny_unknown_fields" => found.strict = true,
                "untagged" => found.tagging = Tagging::Untagged,
                "tag" | "content" => {
                    let key = meta.value()?.parse::<LitStr>()?.value();
                    match name.as_str() {
                        "tag" => tag = Some(key),
                        _ => content = Some(key),
                    }
                    return Ok(());
                }
                "transparent" => found.transparent = true,
                "rename_all" => {
                    let case = renamed(meta)?.map(|case| Case::parse(&case)).transpose()?;
                    found.rename_fields = case.unwrap_or_default();
                    found.rename_variants = found.rename_fields;
                    return Ok(());
                }
                "from" | "try_from" if !is_given => {
                    let ty: LitStr = meta.value()?.parse()?;
                    found.shape = Some(As::Other(Box::new(ty.parse()?)));
                    return Ok(());
                }
                "remote" | "rename_all_fields" if !is_given => {
                    return Err(unknown(meta, &name));
                }
                _ => {}
            }
            skip(meta)
        })?;
        match (tag, content) {
            (Some(tag), None) => found.tagging = Tagging::Internal(tag),
            (Some(tag), Some(content)) => found.tagging = Tagging::Adjacent(tag, content),
            (None, _) => {}
        }
        Ok(found)
    }

    /// Where the trait is.
    pub(crate) fn path(&self) -> Path {
        let of_sdk = || parse_quote!(::witgate_sdk::schema);
        self.lib.clone().unwrap_or_else(of_sdk)
    }
}

impl OfField {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self {
            doc: doc(attributes),
            ..Self::default()
        };
        each(attributes, "schema", |meta| {
            if meta.path.is_ident("least") {
                found.bounds[0] = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("most") {
                found.bounds[1] = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("range") {
                found.range = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("default") {
                found.shown_default = meta.value()?.parse::<LitStr>()?.value();
            } else if let Some(shape) = As::read(meta)? {
                found.shape = shape;
            } else {
                return Err(meta.error(
                    "expected `as`, `any`, `choice`, `words`, `least`, `most`, `range` or `default`",
                ));
            }
            Ok(())
        })?;
        let is_given = !matches!(found.shape, As::Type);
        each(attributes, "serde", |meta| {
            let name = name(meta);
            match name.as_str() {
                "default" => found.default = true,
                "skip" | "skip_deserializing" => found.skip = true,
                "rename" => {
                    found.rename = renamed(meta)?
                        .map(|name| name.value())
                        .or(found.rename.take());
                    return Ok(());
                }
                "alias" => {
                    found.aliases.push(meta.value()?.parse::<LitStr>()?.value());
                    return Ok(());
                }
                "flatten" => found.flatten = true,
                "with" | "deserialize_with" => match is_given {
                    true => found.reads_itself = true,
                    false => return Err(unknown(meta, &name)),
                },
                _ => {}
            }
            skip(meta)
        })?;
        Ok(found)
    }

    /// Whether the key must be there, as a constant; serde takes an `Option` that is missing as none.
    pub(crate) fn required(&self, field: &Field, lib: &Path) -> TokenStream {
        if self.default || !self.aliases.is_empty() {
            return quote!(false);
        }
        let optional = self.optional(field, lib);
        quote!(!#optional)
    }

    /// Whether serde takes what is missing as none, as a constant.
    pub(crate) fn optional(&self, field: &Field, lib: &Path) -> TokenStream {
        let ty = &field.ty;
        match self.shape {
            As::Type => quote!(<#ty as #lib::Schema>::OPTIONAL),
            _ => {
                let is_option = !self.reads_itself && is_option(ty);
                quote!(#is_option)
            }
        }
    }

    /// What the field reads.
    pub(crate) fn shape(&self, field: &Field, lib: &Path) -> TokenStream {
        let ty = &field.ty;
        let shape = match &self.shape {
            As::Type => quote_spanned!(ty.span()=> <#ty as #lib::Schema>::SHAPE),
            other => other.tokens(lib),
        };
        let [least, most] = &self.bounds;
        if least.is_none() && most.is_none() {
            return shape;
        }
        let least = least
            .as_ref()
            .map_or(quote!(least), |it| quote!((#it) as i128));
        let most = most
            .as_ref()
            .map_or(quote!(most), |it| quote!((#it) as i128));
        quote! {
            match #shape {
                #[allow(unused_variables, reason = "each bound may be given")]
                #lib::Shape::Integer { least, most } => #lib::Shape::Integer { least: #least, most: #most },
                _ => ::core::panic!("`least` and `most` are for integers"),
            }
        }
    }
}

impl OfVariant {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self {
            doc: doc(attributes),
            ..Self::default()
        };
        each(attributes, "schema", |meta| {
            Err(meta.error("a variant has no `#[schema(…)]`: write it on the field in it"))
        })?;
        each(attributes, "serde", |meta| {
            let name = name(meta);
            match name.as_str() {
                "skip" | "skip_deserializing" => found.skip = true,
                "rename" => {
                    found.rename = renamed(meta)?
                        .map(|name| name.value())
                        .or(found.rename.take());
                    return Ok(());
                }
                "rename_all" => {
                    let case = renamed(meta)?.map(|case| Case::parse(&case)).transpose()?;
                    found.rename_fields = case.unwrap_or_default();
                    return Ok(());
                }
                "alias" => {
                    found.aliases.push(meta.value()?.parse::<LitStr>()?.value());
                    return Ok(());
                }
                "with" | "deserialize_with" | "untagged" | "other" => {
                    return Err(unknown(meta, &name));
                }
                _ => {}
            }
            skip(meta)
        })?;
        Ok(found)
    }
}

fn is_option(ty: &Type) -> bool {
    is_named(ty, "Option")
}

/// Whether serde takes the field for no part of a transparent type when it reads.
pub(crate) fn is_beside(field: &Field, attributes: &OfField) -> bool {
    attributes.skip || attributes.default || is_named(&field.ty, "PhantomData")
}

fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| last.ident == name)
        }
        // What a macro has passed on.
        Type::Group(group) => is_named(&group.elem, name),
        _ => false,
    }
}

fn name(meta: &ParseNestedMeta<'_>) -> String {
    meta.path
        .get_ident()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn unknown(meta: &ParseNestedMeta<'_>, name: &str) -> syn::Error {
    meta.error(format!(
        "`{name}` reads what no schema can be derived of: say it with `#[schema(as = Type)]`, or \
         implement the trait"
    ))
}

/// Calls for each entry of attributes of this name.
fn each(
    attributes: &[Attribute],
    name: &str,
    mut read: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let named = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident(name));
    for attribute in named {
        attribute.parse_nested_meta(|meta| read(&meta))?;
    }
    Ok(())
}

/// Reads over the value of an entry that does not matter.
fn skip(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(token::Eq) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}

/// `rename = "x"` or `rename(deserialize = "x")`; none when only writing is meant.
fn renamed(meta: &ParseNestedMeta<'_>) -> Result<Option<LitStr>> {
    if meta.input.peek(token::Eq) {
        return meta.value()?.parse().map(Some);
    }
    let mut found = None;
    meta.parse_nested_meta(|of| {
        let value: LitStr = of.value()?.parse()?;
        if of.path.is_ident("deserialize") {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The comments, a line for each paragraph.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(doc) if doc.path.is_ident("doc") => literal(&doc.value),
            _ => None,
        });
    let mut doc = String::new();
    for line in lines {
        match line.trim() {
            "" => doc.push('\n'),
            words => {
                if !doc.is_empty() && !doc.ends_with('\n') {
                    doc.push(' ');
                }
                doc.push_str(words);
            }
        }
    }
    doc.trim().to_owned()
}

/// A string; what a macro has passed on is in a group.
fn literal(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}
