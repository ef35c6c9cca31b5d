//! Expressions over names of indices: lists, wildcards, exclusions, date math, selectors, remote clusters (API page
//! section 14.1). Reading one decides nothing; [`super::narrow`] does.

use std::borrow::Cow;

use super::date_math;
use crate::model::Timestamp;

/// One item of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Item<'a> {
    /// Taken away from what wildcards before it have found: a name or a pattern.
    Excluded(Cow<'a, str>),
    /// One name, with its selector.
    Name(Cow<'a, str>),
    /// On another cluster.
    Remote {
        /// Its alias, maybe with wildcards.
        cluster: Cow<'a, str>,
    },
    /// Whatever matches, of the part that the selector names.
    Wildcard {
        /// With `*` in it.
        pattern: Cow<'a, str>,
        /// `::data`, `::failures` or nothing.
        selector: &'static str,
    },
}

/// An expression, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expression<'a> {
    /// None given, or `_all`.
    All,
    /// An empty item before the end: nobody may ask so.
    Holed,
    /// Items in their order.
    List(Vec<Item<'a>>),
}

/// Date math that cannot be resolved.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid dynamic name expression [{0}]")]
pub(super) struct NameError(pub(super) Box<str>);

impl<'a> Expression<'a> {
    /// Reads a decoded expression as of `now`.
    ///
    /// # Errors
    ///
    /// [`NameError`]: date math that is none, or not of a kind that is understood.
    pub(super) fn parse(text: &'a str, now: Timestamp) -> Result<Self, NameError> {
        if matches!(text, "" | "_all" | ",") {
            return Ok(Self::All);
        }
        let text = text.strip_suffix(',').unwrap_or(text);
        if text.split(',').any(str::is_empty) {
            return Ok(Self::Holed);
        }
        let mut wildcard_seen = false;
        // Commas inside of date math separate too, as for the cluster.
        let items = text.split(',').map(|item| {
            let item = Item::parse(item, now, wildcard_seen)?;
            wildcard_seen |= matches!(item, Item::Wildcard { .. });
            Ok(item)
        });
        Ok(Self::List(items.collect::<Result<_, NameError>>()?))
    }
}

impl<'a> Item<'a> {
    fn parse(text: &'a str, now: Timestamp, wildcard_seen: bool) -> Result<Self, NameError> {
        if let Some(excluded) = text.strip_prefix('-').filter(|_| wildcard_seen) {
            return Ok(Self::Excluded(date_math::resolve(excluded, now)?));
        }
        let text = match text.split_once(':') {
            Some((cluster, rest)) if !rest.starts_with(':') && !text.starts_with('<') => {
                return Ok(Self::Remote { cluster: Cow::Borrowed(cluster) });
            }
            _ => text,
        };
        let (name, selector) = split_selector(text);
        // Some clusters read up to the first colon.
        if let Some((cluster, _)) = name.split_once(':').filter(|_| !name.starts_with('<')) {
            return Ok(Self::Remote { cluster: Cow::Borrowed(cluster) });
        }
        let resolved = date_math::resolve(name, now)?;
        Ok(if resolved.contains('*') {
            Self::Wildcard { pattern: resolved, selector }
        } else if selector.is_empty() || matches!(resolved, Cow::Borrowed(_)) {
            Self::Name(if selector.is_empty() { resolved } else { Cow::Borrowed(text) })
        } else {
            Self::Name(Cow::Owned(format!("{resolved}{selector}")))
        })
    }
}

/// A name and its selector.
fn split_selector(text: &str) -> (&str, &'static str) {
    for selector in ["::data", "::failures"] {
        if let Some(name) = text.strip_suffix(selector) {
            return (name, selector);
        }
    }
    (text, "")
}

/// Whether a name matches a pattern whose only special character is `*`.
#[must_use]
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let Some((middle, end)) = rest.rsplit_once('*') else { return name.ends_with(rest) };
    let Some(body) = name.strip_suffix(end) else { return false };
    name = body;
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_557_253_007);

    fn read(text: &str) -> Vec<Item<'_>> {
        match Expression::parse(text, NOW) {
            Ok(Expression::List(items)) => items,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn name(text: &str) -> Item<'_> {
        Item::Name(Cow::Borrowed(text))
    }

    #[test]
    fn nothing_all_and_a_lone_comma_mean_all() {
        for text in ["", "_all", ","] {
            assert_eq!(Expression::parse(text, NOW), Ok(Expression::All), "{text}");
        }
    }

    #[test]
    fn a_trailing_comma_is_nothing_and_any_other_empty_item_a_hole() {
        assert_eq!(read("a,"), [name("a")]);
        for text in ["a,,b", ",a", "a,,", ",,"] {
            assert_eq!(Expression::parse(text, NOW), Ok(Expression::Holed), "{text}");
        }
    }

    #[test]
    fn a_minus_excludes_only_after_a_wildcard() {
        assert_eq!(read("a1,-a1"), [name("a1"), name("-a1")]);
        assert_eq!(read("-a1"), [name("-a1")]);
        let wildcard = Item::Wildcard { pattern: "*".into(), selector: "" };
        assert_eq!(read("*,-a2"), [wildcard, Item::Excluded("a2".into())]);
    }

    #[test]
    fn a_colon_names_another_cluster_and_two_a_selector() {
        assert_eq!(read("other:a1"), [Item::Remote { cluster: "other".into() }]);
        assert_eq!(read("other::x:a1"), [Item::Remote { cluster: "other".into() }]);
        assert_eq!(read("a1::failures"), [name("a1::failures")]);
        assert_eq!(read("a*::data"), [Item::Wildcard { pattern: "a*".into(), selector: "::data" }]);
    }

    #[test]
    fn date_math_is_resolved_before_anything_is_decided() {
        assert_eq!(read("<a1-{now/d}>"), [name("a1-2026.11.24")]);
        assert_eq!(read("<a*-{now/d}>"), [Item::Wildcard { pattern: "a*-2026.11.24".into(), selector: "" }]);
        assert!(Expression::parse("<a1-{then}>", NOW).is_err());
    }

    #[test]
    fn stars_match_any_run() {
        for (pattern, name, wanted) in [
            ("a*", "a1", true),
            ("a*", "b1", false),
            ("*", "", true),
            ("*a", "ba", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "ac", false),
            ("ab*ba", "aba", false),
            ("a*a*a", "aa", false),
            ("a", "a", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn no_expression_panics(text in "[-a*,:<>{}/.d\\\\n]{0,24}") {
            let _read = Expression::parse(&text, NOW);
        }

        #[test]
        fn a_star_in_place_of_a_part_matches(name in "[ab]{0,6}", from in 0_usize..6, to in 0_usize..6) {
            let (from, to) = (from.min(name.len()), to.min(name.len()));
            if from <= to {
                let pattern = format!("{}*{}", &name[..from], &name[to..]);
                prop_assert!(matches(&pattern, &name));
            }
        }
    }
}
