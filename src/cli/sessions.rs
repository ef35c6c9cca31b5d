//! `searchgate sessions`.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::{
    percent,
    session::Session,
    table::{self, Output, cell},
};

/// What to do with sessions over tokens of the cluster.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// End sessions; their tokens are revoked at the cluster.
    End {
        /// Which sessions.
        #[command(flatten)]
        which: Which,
    },
    /// List sessions, by id.
    List {
        /// Those of this user only.
        #[arg(long)]
        username: Option<String>,
    },
    /// Show a session.
    Show {
        /// Its id, which is not its handle.
        id: String,
    },
}

/// Which sessions.
#[derive(clap::Args, Debug)]
#[group(required = true)]
pub struct Which {
    /// Ids.
    #[arg(value_name = "ID", conflicts_with_all = ["username", "provider", "all"])]
    ids: Vec<String>,
    /// All of that user.
    #[arg(long)]
    username: Option<String>,
    /// All of that type of provider: `token` or `pki`.
    #[arg(long)]
    provider: Option<String>,
    /// All.
    #[arg(long, conflicts_with_all = ["username", "provider"])]
    all: bool,
}

impl SessionsCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// The gateway's reason.
    pub async fn run(self, session: &Session, format: Output, output: &mut impl Write) -> Result<()> {
        match self {
            Self::End { which } if which.ids.is_empty() => {
                let answer = session.ask(Method::POST, INVALIDATE, Some(&which.query())).await?;
                match format {
                    Output::Json => table::json(output, &answer)?,
                    Output::Table => writeln!(output, "ended: {}", cell(answer.get("total")))?,
                }
            }
            Self::End { which } => {
                for id in &which.ids {
                    let answer = session.ask(Method::DELETE, &target(id), None).await?;
                    match format {
                        Output::Json => table::json(output, &answer)?,
                        Output::Table => writeln!(output, "ended: {}", table::printable(id))?,
                    }
                }
            }
            Self::List { username } => {
                let sessions = all(session, username.as_deref()).await?;
                match format {
                    Output::Json => table::json(output, &json!({ "sessions": sessions }))?,
                    Output::Table => {
                        let rows: Vec<_> = sessions.iter().map(row).collect();
                        let titles = ["ID", "USER", "REALM", "PROVIDER", "STATE", "CREATED", "LAST SEEN"];
                        table::table(output, titles, &rows)?;
                    }
                }
            }
            Self::Show { id } => {
                let shown = session.ask(Method::GET, &target(&id), None).await?;
                match format {
                    Output::Json => table::json(output, &shown)?,
                    Output::Table => {
                        for (field, value) in shown.as_object().into_iter().flatten() {
                            let value = if TIMES.contains(&field.as_str()) { time(Some(value)) } else { None };
                            let value = value.unwrap_or_else(|| cell(Some(shown.get(field).unwrap_or(&Value::Null))));
                            writeln!(output, "{field}: {}", table::printable(&value))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Which {
    fn query(&self) -> Value {
        if self.all {
            return json!({ "match": "all" });
        }
        let mut query = Map::new();
        query.extend(self.username.clone().map(|name| ("username".to_owned(), name.into())));
        query.extend(self.provider.clone().map(|kind| ("provider".to_owned(), json!({ "type": kind }))));
        json!({ "match": "query", "query": query })
    }
}

/// All sessions, a page at a time.
async fn all(session: &Session, username: Option<&str>) -> Result<Vec<Value>> {
    let (mut sessions, mut after) = (Vec::new(), None::<String>);
    loop {
        let parameters = [("username", username), ("after", after.as_deref())];
        let given = parameters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", percent(value?))));
        let target = format!("{SESSIONS}?{}", given.collect::<Vec<_>>().join("&"));
        let mut page = session.ask(Method::GET, &target, None).await?;
        let Some(Value::Array(found)) = page.get_mut("sessions").map(Value::take) else {
            bail!("not an answer of a gateway");
        };
        sessions.extend(found);
        after = page.get("after").and_then(Value::as_str).map(str::to_owned);
        if after.is_none() {
            return Ok(sessions);
        }
    }
}

fn row(session: &Value) -> [String; 7] {
    let text = |pointer: &str| cell(session.pointer(pointer));
    let when = |field: &str| time(session.get(field)).unwrap_or_default();
    [
        text("/id"),
        text("/username"),
        text("/realm/name"),
        text("/provider/type"),
        text("/state"),
        when("created"),
        when("last_seen"),
    ]
}

/// Milliseconds as a time to read, to the second.
fn time(millis: Option<&Value>) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(millis?.as_i64()?).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn target(id: &str) -> String {
    format!("{SESSIONS}/{}", percent(id))
}

const SESSIONS: &str = "/_gateway/sessions";
const INVALIDATE: &str = "/_gateway/sessions/_invalidate";
const TIMES: [&str; 4] = ["created", "last_seen", "idle_expires_at", "expires_at"];
