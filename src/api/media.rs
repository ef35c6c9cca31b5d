//! What a request says of its body and of the answer it wants (API page section 1.3).

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::{
    api::failure::Failure,
    respond::{Exception, media::MediaType},
};

/// Judges `Accept` and `Content-Type` before anything else is.
///
/// # Errors
///
/// What is no media type, a vendor version that is not served, and versions that differ.
pub(super) fn check(headers: &HeaderMap, has_body: bool) -> Result<(), Exception> {
    let accept = single(headers, &header::ACCEPT, "Accept")?;
    let sent = single(headers, &header::CONTENT_TYPE, "Content-Type")?;
    let (accept_shown, accepts) = accept.unwrap_or(("null", None));
    let (sent_shown, sends) = sent.unwrap_or(("null", None));
    let sends = sends.filter(|_| has_body);
    for (name, found, text) in [("Accept", accepts, accept_shown), ("Content-Type", sends, sent_shown)] {
        if let Some(found) = found.filter(|found| !VERSIONS.contains(found)) {
            let reason = format!("{name} version must be either version 9, 8 or 7, but found {found}. {name}={text}");
            return Err(incompatible(reason));
        }
    }
    let rule = match (accepts, sends) {
        (Some(accepts), Some(sends)) if accepts != sends => " and the compatible versions must match",
        (None, Some(_)) => "",
        (Some(_), None) if has_body => "",
        _ => return Ok(()),
    };
    Err(incompatible(format!(
        "A compatible version is required on both Content-Type and Accept headers if either one has requested a \
         compatible version{rule}. Accept={accept_shown}, Content-Type={sent_shown}"
    )))
}

/// Judges the type of a body that is there.
///
/// # Errors
///
/// 406 for everything that is not JSON.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Failure> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if MediaType::parse(text).is_ok_and(|kind| kind.is_some_and(|kind| kind.is_json())) {
        return Ok(());
    }
    let text = format!("Content-Type header [{text}] is not supported");
    Err(Failure::Text { status: StatusCode::NOT_ACCEPTABLE, text, numbered: true })
}

/// A header that may come once, and the vendor version in it.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    shown: &str,
) -> Result<Option<(&'a str, Option<&'a str>)>, Exception> {
    let wrong = |reason: String| {
        Err(Exception::new("media_type_header_exception", format!("Invalid media-type value on headers [{shown}]"))
            .because(Exception::argument(reason)))
    };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return wrong(format!("Incorrect header [{shown}]. Only one value should be provided"));
    }
    let text = value.to_str().unwrap_or("?");
    if text.trim().is_empty() {
        return wrong(format!("Header [{shown}] cannot be empty."));
    }
    match MediaType::parse(text) {
        Ok(kind) => Ok(Some((text, kind.and_then(|kind| kind.version())))),
        Err(_) => wrong(format!("invalid media-type [{text}]")),
    }
}

fn incompatible(reason: String) -> Exception {
    Exception::new("media_type_header_exception", "Invalid media-type value on headers [Accept, Content-Type]")
        .because(Exception::new("status_exception", reason))
}

/// Those of the clients that must work, whatever the cluster behind takes.
const VERSIONS: [&str; 3] = ["7", "8", "9"];
