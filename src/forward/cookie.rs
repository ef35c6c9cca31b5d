//! The session cookie (`transparent-reauthentication.md` section 8.2): read, set, cleared, and never shown to the cluster.

use http::{HeaderMap, HeaderValue, header};

use crate::{secret::SecretText, sessions::SessionId};

/// What a request's cookies say of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown<'a> {
    /// A handle, by its form.
    Handle(&'a str),
    /// Something that was never a handle, or several: counts for nothing, and is cleared.
    Malformed,
    /// Nothing.
    Nothing,
}

/// Reads the cookie. Of several with different values none is believed: whoever may set cookies for a domain above this
/// host could add one of a session of their own.
#[must_use]
pub fn read(headers: &HeaderMap) -> Shown<'_> {
    let mut shown = Shown::Nothing;
    for value in headers.get_all(header::COOKIE) {
        for pair in value.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
            let Some(value) = own(pair) else { continue };
            let text = std::str::from_utf8(value).ok().filter(|text| SessionId::of_handle(text).is_some());
            shown = match (shown, text) {
                (Shown::Nothing, Some(handle)) => Shown::Handle(handle),
                (Shown::Handle(first), Some(handle)) if first == handle => shown,
                _ => Shown::Malformed,
            };
        }
    }
    shown
}

/// Takes the cookie out, and leaves all others as they are.
pub fn strip(headers: &mut HeaderMap) {
    let is_own =
        |value: &HeaderValue| value.as_bytes().split(|byte| *byte == b';').any(|pair| own(pair.trim_ascii()).is_some());
    if !headers.get_all(header::COOKIE).iter().any(is_own) {
        return;
    }
    let kept: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().filter_map(without_own).collect();
    headers.remove(header::COOKIE);
    for value in kept {
        headers.append(header::COOKIE, value);
    }
}

/// Hands a browser the handle. Host-only, as no `Domain` is named.
#[must_use]
pub fn set(handle: &SecretText) -> Option<HeaderValue> {
    let text = zeroize::Zeroizing::new(format!("{NAME}={}; {ATTRIBUTES}", handle.expose()));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes it back.
#[must_use]
pub fn clear() -> HeaderValue {
    HeaderValue::from_static(CLEARED)
}

fn own(pair: &[u8]) -> Option<&[u8]> {
    let rest = pair.strip_prefix(NAME.as_bytes())?.trim_ascii_start();
    rest.strip_prefix(b"=").map(<[u8]>::trim_ascii)
}

fn without_own(value: &HeaderValue) -> Option<HeaderValue> {
    let pairs = value.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let kept: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && own(pair).is_none()).collect();
    if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok() }
}

const NAME: &str = "searchgate_session";
const ATTRIBUTES: &str = "HttpOnly; Secure; SameSite=Lax; Path=/";
const CLEARED: &str = "searchgate_session=; Max-Age=0; HttpOnly; Secure; SameSite=Lax; Path=/";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HANDLE: &str = "sgs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn headers(cookies: &[&[u8]]) -> HeaderMap {
        cookies.iter().map(|cookie| (header::COOKIE, HeaderValue::from_bytes(cookie).unwrap())).collect()
    }

    fn text(cookie: &str) -> String {
        cookie.replace('@', HANDLE)
    }

    #[test]
    fn a_handle_is_found_among_other_cookies() {
        for cookie in ["searchgate_session=@", "a=b; searchgate_session=@; c=d", "a=b;searchgate_session = @ "] {
            assert_eq!(read(&headers(&[text(cookie).as_bytes()])), Shown::Handle(HANDLE), "{cookie}");
        }
        let twice = text("searchgate_session=@");
        assert_eq!(read(&headers(&[twice.as_bytes(), b"a=b", twice.as_bytes()])), Shown::Handle(HANDLE));
    }

    #[test]
    fn t33_what_is_no_handle_is_malformed_and_another_name_is_nothing() {
        let long = format!("searchgate_session={}", "x".repeat(20_000));
        for cookie in ["searchgate_session=", "searchgate_session=sgs_short", "searchgate_session=\"@\"", &long] {
            assert_eq!(read(&headers(&[text(cookie).as_bytes()])), Shown::Malformed, "{cookie}");
        }
        for cookie in
            ["", "a=searchgate_session=@", "xsearchgate_session=@", "searchgate_session2=@", "searchgate_session"]
        {
            assert_eq!(read(&headers(&[text(cookie).as_bytes()])), Shown::Nothing, "{cookie}");
        }
    }

    #[test]
    fn of_two_different_handles_none_is_believed() {
        let other = HANDLE.replace("AAA", "BBB");
        let both = format!("searchgate_session={HANDLE}; searchgate_session={other}");
        assert_eq!(read(&headers(&[both.as_bytes()])), Shown::Malformed);
    }

    #[test]
    fn the_cluster_sees_all_cookies_but_this_one() {
        let mut sent =
            headers(&[text("a=b; searchgate_session=@; c=d").as_bytes(), text("searchgate_session=@").as_bytes()]);
        strip(&mut sent);
        assert_eq!(sent.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=b; c=d"]);
        let mut others = headers(&[b"a=b;c=d;"]);
        strip(&mut others);
        assert_eq!(others[header::COOKIE], "a=b;c=d;");
    }

    proptest! {
        #[test]
        fn no_cookie_panics_and_none_of_ours_is_left(
            cookies in proptest::collection::vec("[ -~]{0,30}|( ?searchgate_session ?=[!-~]{0,50};?){0,3}", 0..4),
        ) {
            let bytes: Vec<&[u8]> = cookies.iter().map(|cookie| cookie.as_bytes()).collect();
            let mut sent = headers(&bytes);
            if let Shown::Handle(handle) = read(&sent) {
                prop_assert!(SessionId::of_handle(handle).is_some());
            }
            strip(&mut sent);
            prop_assert_eq!(read(&sent), Shown::Nothing);
        }
    }
}
