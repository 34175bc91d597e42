//! `#[derive(Schema)]`: says as a constant what serde's `Deserialize` reads. `attributes` reads
//! what is written on types, fields and variants, `reads` what says that something is read as another;
//! `case` is `rename_all`, `variants` are those of an enum.

mod attributes;
mod case;
mod reads;
mod variants;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Data, DeriveInput, Error, Field, Fields, Result, ext::IdentExt as _, parse_macro_input,
    spanned::Spanned as _,
};

use attributes::{Container, OfField, Tagging, is_beside};
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
        (None, Data::Enum(data)) => variants::of_enum(&container, data)?,
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
    if let Tagging::Internal(_) | Tagging::Adjacent(..) = container.tagging {
        return Err(Error::new(
            fields.span(),
            "`tag` is for enums: a struct has no variants",
        ));
    }
    match fields {
        Fields::Named(_) => {
            let keys = Keys::of(container, fields, container.rename_fields)?;
            Ok(keys.table(container, &container.doc))
        }
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

/// What is read of a table.
struct Keys {
    keys: Vec<TokenStream>,
    flat: Vec<TokenStream>,
}

impl Keys {
    /// Of fields with names.
    fn of(container: &Container, fields: &Fields, rename: Case) -> Result<Self> {
        let lib = container.path();
        let (mut keys, mut flat) = (Vec::new(), Vec::new());
        for field in fields {
            let attributes = OfField::of(&field.attrs)?;
            if attributes.flatten && !attributes.skip {
                let shape = attributes.shape(field, &lib);
                let optional = attributes.optional(field, &lib);
                flat.push(quote!(#lib::Flat { shape: #shape, optional: #optional }));
            } else {
                keys.extend(keys_of(container, field, rename, &attributes));
            }
        }
        Ok(Self { keys, flat })
    }

    fn table(&self, container: &Container, doc: &str) -> TokenStream {
        let strict = container.strict;
        self.table_if(container, &quote!(#strict), doc)
    }

    /// A table that refuses other keys if a constant is true.
    fn table_if(&self, container: &Container, strict: &TokenStream, doc: &str) -> TokenStream {
        let lib = container.path();
        let Self { keys, flat } = self;
        quote! {
            #lib::Shape::Table(#lib::Table {
                keys: &[#(#keys),*],
                flat: &[#(#flat),*],
                strict: #strict,
                doc: #doc,
            })
        }
    }
}

/// One key, and one for each alias.
fn keys_of(
    container: &Container,
    field: &Field,
    rename: Case,
    attributes: &OfField,
) -> Vec<TokenStream> {
    let Some(ident) = field.ident.as_ref().filter(|_| !attributes.skip) else {
        return Vec::new();
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
    keys.collect()
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
    fn a_struct_has_no_tag() {
        let tagged: DeriveInput = parse_quote! {
            #[serde(tag = "type")]
            struct One { a: u8 }
        };
        assert!(refusal(&tagged).contains("`tag` is for enums"));
    }

    #[test]
    fn words_on_a_variant_are_refused() {
        let words: DeriveInput = parse_quote! {
            enum Mode { #[schema(words = "a host")] Host(String) }
        };
        assert!(refusal(&words).contains("a variant has no `#[schema(…)]`"));
    }
}
