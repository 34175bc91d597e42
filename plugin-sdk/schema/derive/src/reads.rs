//! `#[schema(as = Type)]` and its like: what something reads as, where its type does not say it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{LitStr, Path, Result, Type, meta::ParseNestedMeta, token};

/// What something reads as.
#[derive(Default)]
pub(crate) enum As {
    /// As its type says.
    #[default]
    Type,
    /// As this type.
    Other(Box<Type>),
    /// As one of these strings.
    Choice(Vec<LitStr>),
    /// A string of a form that these words say.
    Words(LitStr),
    /// Whatever it likes.
    Any,
}

impl As {
    /// The shape of a whole type.
    pub(crate) fn tokens(&self, lib: &Path) -> TokenStream {
        match self {
            Self::Type | Self::Any => quote!(#lib::Shape::Any),
            Self::Other(ty) => quote!(<#ty as #lib::Schema>::SHAPE),
            Self::Choice(names) => quote!(#lib::Shape::Choice(&[#(#names),*])),
            Self::Words(words) => quote!(#lib::Shape::Words(#words)),
        }
    }

    /// Reads `as = Type`, `any`, `choice("a", "b")` or `words = "…"`.
    pub(crate) fn read(meta: &ParseNestedMeta<'_>) -> Result<Option<Self>> {
        if meta.path.is_ident("any") {
            return Ok(Some(Self::Any));
        }
        if meta.path.is_ident("words") {
            return Ok(Some(Self::Words(meta.value()?.parse()?)));
        }
        if meta.path.is_ident("choice") {
            let content;
            syn::parenthesized!(content in meta.input);
            let names =
                content.parse_terminated(<LitStr as syn::parse::Parse>::parse, token::Comma)?;
            return Ok(Some(Self::Choice(names.into_iter().collect())));
        }
        if meta.path.is_ident("as") {
            return Ok(Some(Self::Other(meta.value()?.parse()?)));
        }
        Ok(None)
    }
}
