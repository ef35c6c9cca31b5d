//! `searchgate keys`.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::{
    percent,
    progress::Progress,
    session::Session,
    table::{self, Output, cell},
};

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Create a key of whoever asks; its secret is printed once.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// How long it lives, for example 30d; as configured when absent.
        #[arg(long, value_name = "TIME")]
        expiration: Option<String>,
        /// JSON file with its role descriptors; it may do what its owner may when absent.
        #[arg(long, value_name = "FILE")]
        roles: Option<PathBuf>,
        /// JSON file with its metadata.
        #[arg(long, value_name = "FILE")]
        metadata: Option<PathBuf>,
    },
    /// List keys, oldest first.
    List,
    /// Revoke keys; returns once no gateway takes them any more.
    Revoke {
        /// Which keys.
        #[command(flatten)]
        which: Which,
    },
    /// Show a key.
    Show {
        /// Its id.
        id: String,
    },
}

/// Which keys.
#[derive(clap::Args, Debug)]
#[group(required = true)]
pub struct Which {
    /// Ids.
    #[arg(value_name = "ID", conflicts_with = "name")]
    ids: Vec<String>,
    /// All of that name.
    #[arg(long)]
    name: Option<String>,
    /// All of whoever asks, or of those named only the asker's.
    #[arg(long)]
    owner: bool,
}

impl KeysCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// The gateway's reason.
    pub async fn run(self, session: &Session, format: Output, output: &mut impl Write) -> Result<()> {
        match self {
            Self::Create { name, expiration, roles, metadata } => {
                let mut body = Map::from_iter([("name".to_owned(), name.into())]);
                body.extend(expiration.map(|life| ("expiration".to_owned(), life.into())));
                for (field, file) in [("role_descriptors", roles), ("metadata", metadata)] {
                    if let Some(file) = file {
                        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
                        let value = serde_json::from_slice(&text);
                        body.insert(field.into(), value.with_context(|| format!("{} is no JSON", file.display()))?);
                    }
                }
                let key = session.ask(Method::POST, "/_security/api_key", Some(&body.into())).await?;
                match format {
                    Output::Json => table::json(output, &key)?,
                    Output::Table => writeln!(
                        output,
                        "id:       {}\nname:     {}\nexpires:  {}\nencoded:  {}\n\n\
                         It is not shown again. Send it as the header\n  Authorization: ApiKey {3}",
                        table::printable(&cell(key.get("id"))),
                        table::printable(&cell(key.get("name"))),
                        time(key.get("expiration")).unwrap_or_else(|| "never".to_owned()),
                        table::printable(&cell(key.get("encoded"))),
                    )?,
                }
            }
            Self::List => {
                let keys = all(session).await?;
                match format {
                    Output::Json => table::json(output, &json!({ "api_keys": keys }))?,
                    Output::Table => {
                        let rows: Vec<_> = keys.iter().map(row).collect();
                        table::table(output, ["ID", "NAME", "OWNER", "REALM", "CREATED", "EXPIRES", "STATE"], &rows)?;
                    }
                }
            }
            Self::Revoke { which: Which { ids, name, owner } } => {
                let mut body = Map::new();
                if !ids.is_empty() {
                    body.insert("ids".into(), ids.into());
                }
                body.extend(name.map(|name| ("name".to_owned(), name.into())));
                if owner {
                    body.insert("owner".into(), true.into());
                }
                let answer = session.ask(Method::DELETE, "/_security/api_key", Some(&body.into())).await?;
                let list = |field| answer.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let (now, before) = (list("invalidated_api_keys"), list("previously_invalidated_api_keys"));
                if let Output::Json = format {
                    table::json(output, &answer)?;
                } else {
                    for (word, ids) in [("revoked", now), ("revoked before", before)] {
                        for id in ids {
                            writeln!(output, "{word}: {}", table::printable(&cell(Some(id))))?;
                        }
                    }
                }
                if answer.get("error_count").and_then(Value::as_u64).unwrap_or_default() > 0 {
                    bail!("not all of them could be revoked");
                }
                if now.is_empty() && before.is_empty() {
                    bail!("there are no such keys");
                }
            }
            Self::Show { id } => {
                let target = format!("/_security/api_key?id={}", percent(&id));
                let answer = session.find(Method::GET, &target).await?;
                let key = answer.as_ref().and_then(|answer| answer.pointer("/api_keys/0"));
                let key = key.with_context(|| format!("there is no key [{id}]"))?;
                match format {
                    Output::Json => table::json(output, key)?,
                    Output::Table => {
                        for (field, value) in key.as_object().into_iter().flatten() {
                            let value = if TIMES.contains(&field.as_str()) { time(Some(value)) } else { None }
                                .unwrap_or_else(|| cell(Some(value)));
                            writeln!(output, "{field}: {}", table::printable(&value))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// All keys, a page at a time.
async fn all(session: &Session) -> Result<Vec<Value>> {
    let (mut keys, mut after, mut progress) = (Vec::new(), None::<Value>, None);
    loop {
        let sort = ["creation", "_doc"];
        let body = match after {
            None => json!({ "size": PAGE, "sort": sort }),
            Some(after) => json!({ "size": PAGE, "sort": sort, "search_after": after }),
        };
        let mut page = session.ask(Method::POST, "/_security/_query/api_key", Some(&body)).await?;
        let total = page.get("total").and_then(Value::as_u64).unwrap_or_default();
        let Some(Value::Array(found)) = page.get_mut("api_keys").map(Value::take) else {
            bail!("not an answer of a gateway");
        };
        let count = found.len();
        progress.get_or_insert_with(|| Progress::of(total)).advance(count as u64);
        after = found.last().and_then(|key| key.get("_sort")).cloned();
        keys.extend(found);
        if count < PAGE || after.is_none() {
            return Ok(keys);
        }
    }
}

fn row(key: &Value) -> [String; 7] {
    let flag = |field| key.get(field).and_then(Value::as_bool).unwrap_or_default();
    let expired = key.get("expiration").and_then(Value::as_i64).is_some_and(|at| at <= now());
    let state = if flag("invalidated") {
        "revoked"
    } else if expired {
        "expired"
    } else {
        "live"
    };
    let text = |field| cell(key.get(field));
    let when = |field| time(key.get(field)).unwrap_or_default();
    [text("id"), text("name"), text("username"), text("realm"), when("creation"), when("expiration"), state.to_owned()]
}

fn now() -> i64 {
    i64::try_from(crate::clock::Clock::system().now().as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds as a time to read, to the second.
fn time(millis: Option<&Value>) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(millis?.as_i64()?).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

const PAGE: usize = 1000;
const TIMES: [&str; 3] = ["creation", "expiration", "invalidation"];
