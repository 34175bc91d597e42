//! serde's `rename_all`.

use syn::{LitStr, Result};

/// How names are written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// As they are.
    #[default]
    AsIs,
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl Case {
    pub(crate) fn parse(text: &LitStr) -> Result<Self> {
        Ok(match text.value().as_str() {
            "lowercase" => Self::Lower,
            "UPPERCASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "snake_case" => Self::Snake,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return Err(syn::Error::new(text.span(), "expected a case of serde's")),
        })
    }

    /// Of a field, which is written in `snake_case`. There, lower case changes nothing.
    pub(crate) fn of_field(self, name: &str) -> String {
        match self {
            Self::Upper => name.to_ascii_uppercase(),
            Self::AsIs | Self::Lower => name.to_owned(),
            Self::Pascal | Self::Camel => {
                self.joined(name.split('_').filter(|word| !word.is_empty()))
            }
            case => case.joined(name.split('_')),
        }
    }

    /// Of a variant, which is written in `PascalCase`.
    pub(crate) fn of_variant(self, name: &str) -> String {
        match self {
            Self::Lower => return name.to_ascii_lowercase(),
            Self::Upper => return name.to_ascii_uppercase(),
            Self::AsIs | Self::Pascal => return name.to_owned(),
            _ => {}
        }
        let capitals = name
            .char_indices()
            .skip(1)
            .filter(|(_, c)| c.is_uppercase());
        let mut bounds: Vec<usize> = capitals.map(|(at, _)| at).collect();
        bounds.insert(0, 0);
        bounds.push(name.len());
        let words = bounds.windows(2).filter_map(|pair| match pair {
            [start, end] => name.get(*start..*end),
            _ => None,
        });
        self.joined(words)
    }

    fn joined<'a>(self, words: impl Iterator<Item = &'a str>) -> String {
        let separator = match self {
            Self::Snake | Self::ScreamingSnake => "_",
            Self::Kebab | Self::ScreamingKebab => "-",
            _ => "",
        };
        let words = words.enumerate().map(|(i, word)| match self {
            Self::ScreamingSnake | Self::ScreamingKebab => word.to_ascii_uppercase(),
            Self::Pascal => capitalised(word),
            Self::Camel if i > 0 => capitalised(word),
            _ => word.to_ascii_lowercase(),
        });
        words.collect::<Vec<_>>().join(separator)
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[test]
    fn names_are_written_as_serde_does() {
        let cases = [
            (Case::AsIs, "max_age", "MaxAge"),
            (Case::Lower, "max_age", "maxage"),
            (Case::Upper, "MAX_AGE", "MAXAGE"),
            (Case::Pascal, "MaxAge", "MaxAge"),
            (Case::Camel, "maxAge", "maxAge"),
            (Case::Snake, "max_age", "max_age"),
            (Case::ScreamingSnake, "MAX_AGE", "MAX_AGE"),
            (Case::Kebab, "max-age", "max-age"),
            (Case::ScreamingKebab, "MAX-AGE", "MAX-AGE"),
        ];
        for (case, field, variant) in cases {
            assert_eq!(case.of_field("max_age"), field, "{case:?}");
            assert_eq!(case.of_variant("MaxAge"), variant, "{case:?}");
        }
        let odd = [
            (Case::Camel, "maxAge"),
            (Case::Pascal, "MaxAge"),
            (Case::Kebab, "-max--age"),
            (Case::Snake, "_max__age"),
        ];
        for (case, field) in odd {
            assert_eq!(case.of_field("_max__age"), field, "{case:?}");
        }
    }
}
