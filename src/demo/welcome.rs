//! What `searchgate demo` prints: where it listens and five commands to paste.

use std::path::Path;

/// The text: `address` is `host:port` of the gate, `authority` the CA to trust. The commands build on each other.
#[must_use]
pub fn welcome(address: &str, password: &str, authority: &Path) -> String {
    // Without certificate this is no demo of TLS, so the CA is named in every command; quoted for the shell.
    let authority = authority.display().to_string().replace('\'', r"'\''");
    let curl = format!(r"curl -sS -w '\n' --cacert '{authority}'");
    let (url, elastic) = (format!("https://{address}"), format!("-u elastic:{password}"));
    let json = "-H 'Content-Type: application/json'";
    let key = r#"-H "Authorization: ApiKey $KEY""#;
    format!(
        r#"searchgate demo: a gate in front of a throw-away search cluster in memory. Ctrl-C ends both.

  address    {url}
  user       elastic
  password   {password}
  CA         {authority}

Paste these one after the other.

# 1. create a key
KEY=$({curl} {elastic} -X POST '{url}/_security/api_key' {json} -d '{{"name":"demo"}}' | sed -n 's/.*"encoded":"\([^"]*\)".*/\1/p')

# 2. index with it
{curl} {key} -X POST '{url}/books/_doc?refresh=true' {json} -d '{{"title":"The Left Hand of Darkness"}}'

# 3. search with it
{curl} {key} '{url}/books/_search' {json} -d '{{"query":{{"match":{{"title":"darkness"}}}}}}'

# 4. revoke it
{curl} {elastic} -X DELETE '{url}/_security/api_key' {json} -d '{{"name":"demo"}}'

# 5. see the 401
{curl} -i {key} '{url}/books/_search'
"#
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_can_read_every_command() {
        let text = welcome("localhost:9200", "s3cret", Path::new("/tmp/it's here/ca.crt"));
        let (_, script) = text.split_once("Paste these one after the other.\n").unwrap();
        let checked = Command::new("bash").args(["-n", "-c", script]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        assert_eq!(script.lines().filter(|line| line.starts_with('#')).count(), 5);
    }

    #[test]
    fn the_key_is_cut_out_of_the_answer() {
        let text = welcome("localhost:9200", "s3cret", Path::new("ca.crt"));
        let line = text.lines().find(|line| line.starts_with("KEY=")).unwrap();
        // A shell function stands in for the program.
        let answer = r#"{"id":"a","name":"demo","api_key":"b","encoded":"YTpi=="}"#;
        let script = format!("curl() {{ printf '%s' '{answer}'; }}\n{line}\nprintf '%s' \"$KEY\"");
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "YTpi==");
    }
}
