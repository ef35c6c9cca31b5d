//! The query, as far as it decides what is judged. `&` and `;` separate, `+` is a space, keys are decoded, and the last
//! of a repeated parameter counts (contract section 5). Nothing is allocated where nothing is encoded.

use std::borrow::Cow;

use crate::path;

/// What a query says of names.
#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    /// `index`: counts where the path has none.
    pub(super) index: Option<Cow<'a, str>>,
    /// `ignore_unavailable`.
    pub(super) ignore_unavailable: Option<Cow<'a, str>>,
    /// `allow_no_indices`.
    pub(super) allow_no_indices: Option<Cow<'a, str>>,
    /// `expand_wildcards`.
    pub(super) expand_wildcards: Option<Cow<'a, str>>,
    /// `op_type`.
    pub(super) op_type: Option<Cow<'a, str>>,
    /// `version_type`.
    pub(super) version_type: Option<Cow<'a, str>>,
    /// `format`.
    pub(super) format: Option<Cow<'a, str>>,
    /// `filter_path`: which parts of the answer are wanted.
    pub(super) filter_path: Option<Cow<'a, str>>,
    /// `pipeline`, if not `_none`.
    pub(super) pipeline: Option<Cow<'a, str>>,
    /// Whether it holds what would be the body.
    pub(super) source: bool,
    /// Whether a scroll is opened or continued.
    pub(super) scroll: bool,
    /// `help`.
    pub(super) help: Option<Cow<'a, str>>,
    /// Whether something stands in it that names what this module does not read: a body, a context.
    pub(super) opaque: Option<&'static str>,
}

impl<'a> Query<'a> {
    /// Reads a raw query, which [`path::route`] has taken.
    #[must_use]
    pub(super) fn parse(raw: &'a str) -> Self {
        let mut query = Self::default();
        for pair in raw.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decode(key);
            let slot = match &*key {
                "index" => &mut query.index,
                "ignore_unavailable" => &mut query.ignore_unavailable,
                "allow_no_indices" => &mut query.allow_no_indices,
                "expand_wildcards" => &mut query.expand_wildcards,
                "op_type" => &mut query.op_type,
                "version_type" => &mut query.version_type,
                "format" => &mut query.format,
                "filter_path" => &mut query.filter_path,
                "scroll" => {
                    query.scroll = true;
                    continue;
                }
                "help" => &mut query.help,
                "pipeline" => &mut query.pipeline,
                other => {
                    query.source |= other == "source";
                    query.opaque = OPAQUE.iter().find(|known| **known == other).copied().or(query.opaque);
                    continue;
                }
            };
            *slot = Some(decode(value));
        }
        query.pipeline.take_if(|pipeline| pipeline == "_none");
        query
    }
}

/// A key or value as it is meant.
pub(super) fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['%', '+']) {
        return Cow::Borrowed(raw);
    }
    // Whatever could not be decoded has been refused before.
    Cow::Owned(path::decode(&raw.replace('+', " ")).unwrap_or_default())
}

/// Parameters that stand for a body, or for what the cluster would do in its own name.
const OPAQUE: [&str; 4] = ["source", "search_pipeline", "scroll_id", "default_pipeline"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_repeated_parameter_counts() {
        assert_eq!(Query::parse("index=a&index=b").index.unwrap(), "b");
        assert_eq!(
            Query::parse("ignore_unavailable&x=1;ignore_unavailable=false").ignore_unavailable.unwrap(),
            "false"
        );
    }

    #[test]
    fn keys_and_values_are_decoded_and_a_plus_is_a_space() {
        assert_eq!(Query::parse("%69ndex=a%2Cb").index.unwrap(), "a,b");
        assert_eq!(Query::parse("index=a+b").index.unwrap(), "a b");
        assert_eq!(Query::parse("a=1;index=x").index.unwrap(), "x", "a semicolon separates");
    }

    #[test]
    fn bodies_and_pipelines_in_a_query_are_noticed() {
        assert_eq!(Query::parse("sourc%65={}").opaque, Some("source"));
        assert_eq!(Query::parse("pipeline=p").pipeline.unwrap(), "p");
        assert_eq!(Query::parse("pipeline=p&pipeline=_none").pipeline, None, "the last counts");
        assert_eq!(Query::parse("pipeline=_none;p%69peline=p").pipeline.unwrap(), "p");
        assert_eq!(Query::parse("_source=a").opaque, None);
    }
}
