use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn strict(text: &[u8]) -> Result<(), ScanError> {
    let mut scratch = Scratch::default();
    let mut reader = Reader::new(text, &mut scratch)?;
    reader.skip()?;
    reader.end()
}

fn string(text: &str) -> Result<String, ScanError> {
    let mut scratch = Scratch::default();
    let mut reader = Reader::new(text.as_bytes(), &mut scratch)?;
    reader.string().map(Cow::into_owned)
}

#[test]
fn strict_json_is_accepted() {
    for text in
        ["{}", " [1, -0.5e+3 ,true,\tnull]\r\n", r#"{"a":{"a":[{"a":"\u00e9\n"}]},"b":""}"#, "0", "1E2", "\"\u{7f}\""]
    {
        assert_eq!(strict(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn anything_else_is_refused() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\"}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "NaN",
        "Infinity",
        "-",
        "tru",
        "nulll",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"",
        "{} {}",
        "/**/{}",
        "{}//",
        "\u{feff}{}",
        "[}",
        "{]",
        "{\"a\":1 \"b\":2}",
        "[,1]",
        "{,}",
        "\u{a0}{}",
        "\0{}",
    ] {
        assert!(strict(text.as_bytes()).is_err(), "{text}");
    }
    assert!(strict(b"\"\xc0\xaf\"").is_err());
    assert!(strict(b"\"\xed\xa0\x80\"").is_err());
}

#[test]
fn a_key_repeated_at_any_depth_is_refused() {
    for text in [r#"{"a":1,"b":2,"a":3}"#, r#"[{"x":{"a":{},"\u0061":1}}]"#] {
        assert!(matches!(strict(text.as_bytes()), Err(ScanError::Duplicate { .. })), "{text}");
    }
    assert_eq!(strict(br#"{"a":{"a":1},"b":{"a":2}}"#), Ok(()));
}

#[test]
fn escapes_are_undone() {
    assert_eq!(string(r#""\"\\\/\b\f\n\r\t\u0041\ud83d\ude00""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\tA😀");
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for text in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\ud83d\ud83d""#, r#""\ud83dxx""#] {
        assert!(string(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_accepted_is_json_to_another_reader(text in r#"[\[\]{}:,"\\ ua0e1.+-]{0,24}"#) {
        if strict(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn any_string_survives_being_quoted(text in any::<String>()) {
        let quoted = quoted(&text);
        prop_assert_eq!(string(&quoted).unwrap(), text);
    }
}
