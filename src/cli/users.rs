//! `searchgate users`.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Subcommand;
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::{
    percent,
    progress::Progress,
    prompt,
    session::Session,
    table::{self, Output, cell},
};

/// What to do with users. Passwords are asked for, or read from standard input where it is no terminal.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// Add a user, or fail if there is one of that name.
    Add {
        /// Its name.
        name: String,
        /// A role; repeats.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Its full name.
        #[arg(long)]
        full_name: Option<String>,
        /// Its mail address.
        #[arg(long)]
        email: Option<String>,
    },
    /// Disable a user.
    Disable {
        /// Its name.
        name: String,
    },
    /// Enable a user.
    Enable {
        /// Its name.
        name: String,
    },
    /// Add or replace users of a JSON object: name to body of `PUT /_security/user/{name}`.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// List all users.
    List,
    /// Give a user another password.
    Passwd {
        /// Its name.
        name: String,
    },
    /// Remove a user; its keys live on until they are revoked.
    Remove {
        /// Its name.
        name: String,
    },
}

impl UsersCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// The gateway's reason.
    pub async fn run(self, session: &Session, format: Output, output: &mut impl Write) -> Result<()> {
        match self {
            Self::Add { name, roles, full_name, email } => {
                ensure!(session.find(Method::GET, &path(&name)).await?.is_none(), "there is a user [{name}] already");
                let password = prompt::ask(&format!("Password of the new user {name}: "))?;
                let secret = password.expose();
                let body = json!({ "password": secret, "roles": roles, "full_name": full_name, "email": email });
                session.ask(Method::PUT, &path(&name), Some(&body)).await?;
                done(output, format, "added", &name)?;
            }
            Self::Disable { name } => {
                session.ask(Method::PUT, &format!("{}/_disable", path(&name)), None).await?;
                done(output, format, "disabled", &name)?;
            }
            Self::Enable { name } => {
                session.ask(Method::PUT, &format!("{}/_enable", path(&name)), None).await?;
                done(output, format, "enabled", &name)?;
            }
            Self::Import { file } => {
                let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
                // The parser's words could hold a part of a password.
                let users: Map<String, Value> = serde_json::from_slice(&text)
                    .ok()
                    .with_context(|| format!("{} holds no JSON object", file.display()))?;
                let mut progress = Progress::of(users.len() as u64);
                for (name, body) in &users {
                    let added = session.ask(Method::PUT, &path(name), Some(body)).await;
                    added.with_context(|| format!("user [{name}]"))?;
                    progress.advance(1);
                }
                drop(progress);
                done(output, format, "imported", &users.len().to_string())?;
            }
            Self::List => {
                let users = session.ask(Method::GET, "/_security/user", None).await?;
                match format {
                    Output::Json => table::json(output, &users)?,
                    Output::Table => {
                        let rows = users.as_object().into_iter().flat_map(Map::values);
                        let fields = ["username", "enabled", "roles", "full_name", "email"];
                        let rows: Vec<_> = rows.map(|user| fields.map(|field| cell(user.get(field)))).collect();
                        table::table(output, ["NAME", "ENABLED", "ROLES", "FULL NAME", "EMAIL"], &rows)?;
                    }
                }
            }
            Self::Passwd { name } => {
                let password = prompt::ask(&format!("New password of {name}: "))?;
                let body = json!({ "password": password.expose() });
                session.ask(Method::PUT, &format!("{}/_password", path(&name)), Some(&body)).await?;
                done(output, format, "password changed", &name)?;
            }
            Self::Remove { name } => {
                if session.find(Method::DELETE, &path(&name)).await?.is_none() {
                    bail!("there is no user [{name}]");
                }
                done(output, format, "removed", &name)?;
            }
        }
        Ok(())
    }
}

fn path(name: &str) -> String {
    format!("/_security/user/{}", percent(name))
}

fn done(output: &mut impl Write, format: Output, what: &str, name: &str) -> Result<()> {
    match format {
        Output::Json => table::json(output, &json!({ what.replace(' ', "_"): name }))?,
        Output::Table => writeln!(output, "{what}: {name}")?,
    }
    Ok(())
}
