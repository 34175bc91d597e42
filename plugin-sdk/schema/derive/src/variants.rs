//! The variants of an enum, in each of the ways in which serde tells them apart.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    DataEnum, Error, Fields, Path, Result, Variant, ext::IdentExt as _, spanned::Spanned as _,
};

use crate::{
    Keys,
    attributes::{Container, OfField, OfVariant, Tagging},
    newtype,
};

/// Any of the variants. Those without fields are told by a name alone, and so they are together.
pub(crate) fn of_enum(container: &Container, data: &DataEnum) -> Result<TokenStream> {
    let lib = container.path();
    let (mut names, mut shapes) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        let attributes = OfVariant::of(&variant.attrs)?;
        if attributes.skip {
            continue;
        }
        let all = names_of(container, &attributes, variant);
        let one = One {
            container,
            attributes,
            variant,
        };
        match (&variant.fields, &container.tagging) {
            (Fields::Unit, Tagging::Untagged) => {
                let problem = "an untagged variant without fields has no place in TOML";
                return Err(Error::new(variant.span(), problem));
            }
            (Fields::Unit, _) => names.extend(all),
            (_, Tagging::Untagged) => shapes.push(one.shape()?),
            (_, Tagging::External) => {
                let shape = one.shape()?;
                shapes.extend(all.iter().map(|name| one.tagged(name, &shape)));
            }
            (_, Tagging::Internal(tag)) => shapes.push(one.with_tag(tag, &all)?),
            (_, Tagging::Adjacent(tag, content)) => {
                shapes.push(one.beside_tag(tag, &all, content)?);
            }
        }
    }
    if !names.is_empty() {
        shapes.insert(0, without_fields(container, &names));
    }
    match shapes.as_slice() {
        [] => Err(Error::new(data.variants.span(), "expected a variant")),
        [shape] => Ok(shape.clone()),
        shapes => Ok(quote!(#lib::Shape::Either(&[#(#shapes),*]))),
    }
}

/// Its name, and each alias.
fn names_of(container: &Container, attributes: &OfVariant, variant: &Variant) -> Vec<String> {
    let own = attributes.rename.clone();
    let written = variant.ident.unraw().to_string();
    let name = own.unwrap_or_else(|| container.rename_variants.of_variant(&written));
    let aliases = attributes.aliases.iter().cloned();
    std::iter::once(name).chain(aliases).collect()
}

fn without_fields(container: &Container, names: &[String]) -> TokenStream {
    let lib = container.path();
    let (tag, strict) = match &container.tagging {
        Tagging::External | Tagging::Untagged => {
            return quote!(#lib::Shape::Choice(&[#(#names),*]));
        }
        // serde passes over what stands beside the tag of one without fields.
        Tagging::Internal(tag) => (tag, false),
        Tagging::Adjacent(tag, _) => (tag, container.strict),
    };
    let keys = Keys {
        keys: vec![tag_key(&lib, tag, names, "")],
        flat: Vec::new(),
    };
    keys.table_if(container, &quote!(#strict), "")
}

/// The key that says which variant it is.
fn tag_key(lib: &Path, tag: &str, names: &[String], doc: &str) -> TokenStream {
    quote! {
        #lib::Key {
            doc: #doc,
            ..#lib::Key::new(#tag, #lib::Shape::Choice(&[#(#names),*]))
        }
    }
}

/// A variant with fields.
struct One<'a> {
    container: &'a Container,
    attributes: OfVariant,
    variant: &'a Variant,
}

impl One<'_> {
    /// What it reads, but for a tag.
    fn shape(&self) -> Result<TokenStream> {
        match &self.variant.fields {
            Fields::Unnamed(all) if all.unnamed.len() == 1 => {
                let field = all
                    .unnamed
                    .iter()
                    .map(|field| newtype(self.container, field));
                field.collect()
            }
            Fields::Named(_) => Ok(self.keys()?.table(self.container, "")),
            fields => Err(Error::new(
                fields.span(),
                "expected a variant with named fields, with one, or with none",
            )),
        }
    }

    fn keys(&self) -> Result<Keys> {
        let rename = self.attributes.rename_fields;
        Keys::of(self.container, &self.variant.fields, rename)
    }

    /// `{ cookie = … }`: a table with one key, which says which variant it is.
    fn tagged(&self, name: &str, shape: &TokenStream) -> TokenStream {
        let lib = self.container.path();
        let doc = &self.attributes.doc;
        let keys = Keys {
            keys: vec![quote!(#lib::Key { doc: #doc, ..#lib::Key::new(#name, #shape) })],
            flat: Vec::new(),
        };
        keys.table_if(self.container, &quote!(true), "")
    }

    /// `{ type = "cookie", name = … }`.
    fn with_tag(&self, tag: &str, names: &[String]) -> Result<TokenStream> {
        let lib = self.container.path();
        let key = tag_key(&lib, tag, names, &self.attributes.doc);
        if let Fields::Named(_) = self.variant.fields {
            let mut keys = self.keys()?;
            keys.keys.insert(0, key);
            return Ok(keys.table(self.container, ""));
        }
        let shape = self.shape()?;
        let keys = Keys {
            keys: vec![key],
            flat: vec![quote!(#lib::Flat { shape: #shape, optional: false })],
        };
        // What is inside reads all but the tag.
        Ok(keys.table_if(self.container, &quote!((#shape).is_strict()), ""))
    }

    /// `{ type = "cookie", value = … }`.
    fn beside_tag(&self, tag: &str, names: &[String], content: &str) -> Result<TokenStream> {
        let lib = self.container.path();
        let shape = self.shape()?;
        let required = match &self.variant.fields {
            Fields::Unnamed(all) => {
                let field = all
                    .unnamed
                    .iter()
                    .map(|field| Ok::<_, Error>(OfField::of(&field.attrs)?.required(field, &lib)));
                field.collect::<Result<TokenStream>>()?
            }
            _ => quote!(true),
        };
        let value = quote! {
            #lib::Key { required: #required, ..#lib::Key::new(#content, #shape) }
        };
        let keys = Keys {
            keys: vec![tag_key(&lib, tag, names, &self.attributes.doc), value],
            flat: Vec::new(),
        };
        Ok(keys.table(self.container, ""))
    }
}
