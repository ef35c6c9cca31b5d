//! `searchgate migrations`: the schema of the store that a configuration names.

use std::{io::Write, path::PathBuf};

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::json;

use crate::{
    cli::table::{self, Output},
    config::{Config, Environment, StoreUrl},
    store::{
        StoreError,
        sqlite::{Schema, Sqlite},
    },
};

/// What to do with the schema. `serve` brings it up to date too.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum MigrationsCommand {
    /// List the migrations that this version knows, and whether they were applied.
    List,
    /// Apply those that are pending; the gateway must be down.
    Run,
    /// Tell how many are pending; fails when the store is newer than this version.
    Status,
}

impl MigrationsCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// A bad configuration, a store that is not SQLite, cannot be opened, or is newer than this version.
    pub fn run(self, files: &[PathBuf], format: Output, output: &mut impl Write) -> Result<()> {
        let config = Config::load(files, &Environment::of_process())?;
        let StoreUrl::Sqlite(path) = &config.store.url else { bail!("only a store in SQLite has migrations to run") };
        let Schema { found, known } = Sqlite::schema(path)?;
        match self {
            Self::List => {
                let states = (1..=known).map(|version| (version, if version <= found { "applied" } else { "pending" }));
                match format {
                    Output::Json => {
                        let list = states.map(|(version, state)| json!({ "version": version, "state": state }));
                        table::json(output, &json!({ "migrations": list.collect::<Vec<_>>() }))?;
                    }
                    Output::Table => {
                        let rows: Vec<_> = states.map(|(version, state)| [version.to_string(), state.into()]).collect();
                        table::table(output, ["VERSION", "STATE"], &rows)?;
                    }
                }
                return Ok(());
            }
            Self::Run => drop(Sqlite::open(path)?),
            Self::Status => {}
        }
        let Schema { found, known } = Sqlite::schema(path)?;
        match format {
            Output::Json => table::json(output, &json!({ "schema": found, "known": known }))?,
            Output::Table => writeln!(output, "schema {found} of {known}, {} pending", known.saturating_sub(found))?,
        }
        if found > known { Err(StoreError::Newer { found, known }.into()) } else { Ok(()) }
    }
}
