//! `#[derive(Schema)]`: says as a constant what serde's `Deserialize` reads. `attributes` reads
//! what is written on types, fields and variants; `case` is `rename_all`.

mod attributes;
mod case;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Data, DataEnum, DeriveInput, Error, Field, Fields, Result, Variant, ext::IdentExt as _,
    parse_macro_input, spanned::Spanned as _,
};

use attributes::{Container, OfField, OfVariant, is_beside};
use case::Case;

/// Derives the schema of what `Deserialize` reads; see the trait.
#[proc_macro_derive(Schema, attributes(schema, serde))]
pub fn schema(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    implement(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn implement(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        let problem = "a type with parameters has no schema of its own: implement the trait";
        return Err(Error::new(input.generics.span(), problem));
    }
    let container = Container::of(&input.attrs)?;
    let lib = container.path();
    let mut optional = quote!(false);
    let shape = match (&container.shape, &input.data) {
        (Some(shape), _) => shape.tokens(&lib),
        (None, Data::Struct(data)) if container.transparent => {
            let (field, attributes) = only_field(&data.fields)?;
            let required = attributes.required(field, &lib);
            optional = quote!(!(#required));
            attributes.shape(field, &lib)
        }
        (None, Data::Struct(data)) => of_struct(&container, &data.fields)?,
        (None, Data::Enum(data)) => of_enum(&container, data)?,
        (None, Data::Union(_)) => {
            return Err(Error::new(
                input.span(),
                "a union has no place in a configuration",
            ));
        }
    };
    let name = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl #lib::Schema for #name {
            const SHAPE: #lib::Shape = #shape;
            const OPTIONAL: bool = #optional;
        }
    })
}

/// The one that a transparent struct reads as.
fn only_field(fields: &Fields) -> Result<(&Field, OfField)> {
    let mut read = Vec::new();
    for field in fields {
        let attributes = OfField::of(&field.attrs)?;
        if !is_beside(field, &attributes) {
            read.push((field, attributes));
        }
    }
    match (read.pop(), read.as_slice()) {
        (Some(only), []) => Ok(only),
        _ => Err(Error::new(
            fields.span(),
            "expected one field that is read in a transparent struct",
        )),
    }
}

fn of_struct(container: &Container, fields: &Fields) -> Result<TokenStream> {
    match fields {
        Fields::Named(_) => table(container, fields, container.rename_fields, &container.doc),
        Fields::Unnamed(all) if all.unnamed.len() == 1 => {
            let field = all.unnamed.iter().map(|field| newtype(container, field));
            field.collect()
        }
        Fields::Unnamed(_) | Fields::Unit => Err(Error::new(
            fields.span(),
            "expected a struct with named fields, or with one: others are no tables",
        )),
    }
}

fn newtype(container: &Container, field: &Field) -> Result<TokenStream> {
    Ok(OfField::of(&field.attrs)?.shape(field, &container.path()))
}

fn table(container: &Container, fields: &Fields, rename: Case, doc: &str) -> Result<TokenStream> {
    let lib = container.path();
    let strict = container.strict;
    let mut keys = Vec::new();
    for field in fields {
        keys.extend(keys_of(container, field, rename)?);
    }
    Ok(quote! {
        #lib::Shape::Table(#lib::Table { keys: &[#(#keys),*], strict: #strict, doc: #doc })
    })
}

/// One key, and one for each alias.
fn keys_of(container: &Container, field: &Field, rename: Case) -> Result<Vec<TokenStream>> {
    let attributes = OfField::of(&field.attrs)?;
    if attributes.skip {
        return Ok(Vec::new());
    }
    let Some(ident) = &field.ident else {
        return Ok(Vec::new());
    };
    let lib = container.path();
    let own = attributes.rename.clone();
    let name = own.unwrap_or_else(|| rename.of_field(&ident.unraw().to_string()));
    let shape = attributes.shape(field, &lib);
    let (doc, range, default) = (
        &attributes.doc,
        &attributes.range,
        &attributes.shown_default,
    );
    let required = match container.default {
        true => quote!(false),
        false => attributes.required(field, &lib),
    };
    let names = std::iter::once(&name).chain(&attributes.aliases);
    let keys = names.map(|name| {
        quote! {
            #lib::Key { name: #name, shape: #shape, required: #required, doc: #doc, range: #range, default: #default }
        }
    });
    Ok(keys.collect())
}

/// As serde tags it from outside: `"lax"`, `{ cookie = "a" }`. Untagged: what any variant reads.
fn of_enum(container: &Container, data: &DataEnum) -> Result<TokenStream> {
    let lib = container.path();
    let (mut names, mut shapes) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        let attributes = OfVariant::of(&variant.attrs)?;
        if attributes.skip {
            continue;
        }
        let own = attributes.rename.clone();
        let name = own.unwrap_or_else(|| {
            container
                .rename_variants
                .of_variant(&variant.ident.unraw().to_string())
        });
        let all = std::iter::once(name).chain(attributes.aliases.iter().cloned());
        match (&variant.fields, container.untagged) {
            (Fields::Unit, false) => names.extend(all),
            (Fields::Unit, true) => {
                let problem = "an untagged variant without fields has no place in TOML";
                return Err(Error::new(variant.span(), problem));
            }
            (_, untagged) => {
                let shape = of_variant(container, &attributes, variant)?;
                match untagged {
                    true => shapes.push(shape),
                    false => {
                        shapes.extend(all.map(|name| tagged(&lib, &name, &shape, &attributes.doc)))
                    }
                }
            }
        }
    }
    if !names.is_empty() {
        shapes.insert(0, quote!(#lib::Shape::Choice(&[#(#names),*])));
    }
    match shapes.as_slice() {
        [] => Err(Error::new(data.variants.span(), "expected a variant")),
        [shape] => Ok(shape.clone()),
        shapes => Ok(quote!(#lib::Shape::Either(&[#(#shapes),*]))),
    }
}

fn of_variant(
    container: &Container,
    attributes: &OfVariant,
    variant: &Variant,
) -> Result<TokenStream> {
    match &variant.fields {
        Fields::Unnamed(all) if all.unnamed.len() == 1 => {
            let field = all.unnamed.iter().map(|field| newtype(container, field));
            field.collect()
        }
        Fields::Named(_) => table(container, &variant.fields, attributes.rename_fields, ""),
        fields => Err(Error::new(
            fields.span(),
            "expected a variant with named fields, with one, or with none",
        )),
    }
}

/// A table with one key, which says which variant it is.
fn tagged(lib: &syn::Path, name: &str, shape: &TokenStream, doc: &str) -> TokenStream {
    quote! {
        #lib::Shape::Table(#lib::Table {
            keys: &[#lib::Key {
                doc: #doc,
                ..#lib::Key::new(#name, #shape)
            }],
            strict: true,
            doc: "",
        })
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn refusal(input: &DeriveInput) -> String {
        match implement(input) {
            Ok(made) => panic!("derived {made}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_transparent_struct_has_one_field() {
        let several: DeriveInput = parse_quote! {
            #[serde(transparent)]
            struct Two { a: u8, b: u8 }
        };
        assert!(refusal(&several).contains("expected one field"));
        let none: DeriveInput = parse_quote! {
            #[serde(transparent)]
            struct None { #[serde(skip)] a: u8 }
        };
        assert!(refusal(&none).contains("expected one field"));
    }

    #[test]
    fn words_on_a_variant_are_refused() {
        let words: DeriveInput = parse_quote! {
            enum Mode { #[schema(words = "a host")] Host(String) }
        };
        assert!(refusal(&words).contains("a variant has no `#[schema(…)]`"));
    }
}
