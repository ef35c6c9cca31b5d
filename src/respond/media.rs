//! The media type of an answer, from what the client sent and accepts (API page section 1.3).

use http::HeaderValue;

use crate::respond::RequestFacts;

/// A media type of a header, parameters as sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaType<'a> {
    /// `application/json`, in lower case.
    pub essence: String,
    /// Name and value of each parameter.
    pub parameters: Vec<(&'a str, &'a str)>,
}

/// A header value that is no media type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAMediaType;

impl<'a> MediaType<'a> {
    /// Reads a header value; `None` for a list and for `*/*`, which name no type.
    ///
    /// # Errors
    ///
    /// [`NotAMediaType`] when it is none.
    pub fn parse(value: &'a str) -> Result<Option<Self>, NotAMediaType> {
        if value.contains(',') || value.trim() == "*/*" {
            return Ok(None);
        }
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let (kind, subtype) = essence.split_once('/').ok_or(NotAMediaType)?;
        if !is_token(kind) || !is_token(subtype) {
            return Err(NotAMediaType);
        }
        let parameters = parts
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').ok_or(NotAMediaType))
            .collect::<Result<_, _>>()?;
        Ok(Some(Self { essence: essence.to_ascii_lowercase(), parameters }))
    }

    /// The `compatible-with` of a vendor type.
    #[must_use]
    pub fn version(&self) -> Option<&'a str> {
        if !self.essence.starts_with("application/vnd.elasticsearch+") {
            return None;
        }
        self.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("compatible-with")).map(|(_, value)| *value)
    }

    /// Whether a body of this type is read as JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(
            self.essence.as_str(),
            "application/json"
                | "application/x-ndjson"
                | "application/vnd.elasticsearch+json"
                | "application/vnd.elasticsearch+x-ndjson"
        )
    }

    /// The type of a JSON answer to a body of this type, if it is one: newline-delimited ones get plain JSON back.
    fn answer(&self) -> Option<String> {
        self.is_json().then(|| self.essence.replace("x-ndjson", "json"))
    }

    /// The type of a JSON answer where this is accepted.
    fn accepted(&self) -> Option<String> {
        let mut text = self.answer()?;
        for (name, value) in &self.parameters {
            text.push(';');
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        Some(text)
    }
}

/// `content-type` of an answer.
#[must_use]
pub fn answer(facts: &RequestFacts<'_>) -> HeaderValue {
    let json = HeaderValue::from_static("application/json");
    if parameter(facts.target, "format") == Some("json") {
        return json;
    }
    read(facts.accept)
        .and_then(|accepted| accepted.accepted())
        .or_else(|| read(facts.content_type)?.answer())
        .and_then(|text| HeaderValue::from_str(&text).ok())
        .unwrap_or(json)
}

fn read(value: Option<&HeaderValue>) -> Option<MediaType<'_>> {
    MediaType::parse(value?.to_str().ok()?).ok()?
}

/// Whether the answer is to be laid out for people.
#[must_use]
pub fn is_pretty(target: &str) -> bool {
    matches!(parameter(target, "pretty"), Some("" | "true"))
}

/// The last value of a parameter that needs no decoding to be understood.
fn parameter<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    query
        .split(['&', ';'])
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .rfind(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(accept: Option<&'static str>, sent: Option<&'static str>, target: &str) -> String {
        let (accept, sent) = (accept.map(HeaderValue::from_static), sent.map(HeaderValue::from_static));
        let facts = RequestFacts { target, accept: accept.as_ref(), content_type: sent.as_ref(), opaque_id: None };
        answer(&facts).to_str().unwrap().to_owned()
    }

    #[test]
    fn the_accepted_type_is_given_back_with_its_parameters() {
        for (accept, answer) in [
            (
                "application/vnd.elasticsearch+json; compatible-with=7",
                "application/vnd.elasticsearch+json;compatible-with=7",
            ),
            ("application/json; charset=utf-8", "application/json;charset=utf-8"),
            ("application/JSON", "application/json"),
        ] {
            assert_eq!(answered(Some(accept), None, "/"), answer);
        }
    }

    #[test]
    fn without_a_usable_accept_the_bare_type_of_the_body_counts() {
        let vendor = "application/vnd.elasticsearch+json;compatible-with=8";
        assert_eq!(answered(Some("text/html, */*"), Some("application/json;charset=UTF-8"), "/"), "application/json");
        assert_eq!(answered(None, Some(vendor), "/"), "application/vnd.elasticsearch+json");
        assert_eq!(answered(None, Some("application/x-ndjson"), "/"), "application/json");
        assert_eq!(answered(Some("text/html"), None, "/"), "application/json");
        assert_eq!(answered(Some(vendor), None, "/?format=json"), "application/json");
    }

    #[test]
    fn what_is_no_media_type_is_told_apart_from_an_unknown_one() {
        assert_eq!(MediaType::parse("foo"), Err(NotAMediaType));
        assert_eq!(MediaType::parse("a/b;c"), Err(NotAMediaType));
        assert!(MediaType::parse("text/plain").unwrap().is_some());
        assert!(MediaType::parse("*/*").unwrap().is_none());
    }
}
