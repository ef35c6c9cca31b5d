//! The command line. No secret is taken on it: arguments are seen by everybody on the machine.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{CommandFactory as _, Parser, Subcommand};
use http::Uri;
use zeroize::Zeroizing;

use crate::{
    config::{Environment, Problems, quantity},
    gateway::{build::StartError, drain::Drained},
    passwords::PasswordHash,
    secret::{self, SecretText},
};

pub mod admin;
pub mod check;
pub mod client;
pub mod demo;
pub mod keys;
pub mod migrations;
pub mod progress;
pub mod prompt;
pub mod schema;
pub mod serve;
pub mod session;
pub mod sessions;
pub mod table;
pub mod users;

use keys::KeysCommand;
use migrations::MigrationsCommand;
use session::{Place, Session};
use sessions::SessionsCommand;
use table::Output;
use users::UsersCommand;

/// A gateway in front of Elasticsearch- and OpenSearch-compatible clusters.
#[derive(Debug, Parser)]
#[command(name = "searchgate", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration without the network.
    Check {
        #[command(flatten)]
        config: ConfigFiles,
        /// Print what the files, the environment and the defaults amount to.
        #[arg(long)]
        print_effective: bool,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Try it: a throw-away search cluster with the gate in front of it.
    Demo {
        /// Put the gate in front of this cluster instead.
        #[arg(long, value_name = "URL")]
        upstream: Option<String>,
    },
    /// Read a password from standard input and print its hash.
    HashPassword,
    /// Exit with 0 if a running gateway is ready.
    Healthcheck {
        #[command(flatten)]
        admin: Admin,
    },
    /// Manage API keys.
    Keys {
        #[command(flatten)]
        managed: Managed,
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Look after the schema of the store.
    Migrations {
        #[command(flatten)]
        config: ConfigFiles,
        /// How answers are printed.
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
        #[command(subcommand)]
        command: MigrationsCommand,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Make secrets.
    Secret {
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// Run the gateway.
    Serve {
        #[command(flatten)]
        config: ConfigFiles,
    },
    /// Manage sessions over tokens of the cluster.
    Sessions {
        #[command(flatten)]
        managed: Managed,
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Ask a running gateway to drain and end.
    Shutdown {
        #[command(flatten)]
        admin: Admin,
    },
    /// Manage users of the native realm.
    Users {
        #[command(flatten)]
        managed: Managed,
        #[command(subcommand)]
        command: UsersCommand,
    },
    /// Wait until a running gateway is ready.
    Wait {
        #[command(flatten)]
        admin: Admin,
        /// How long at most, for example 30s.
        #[arg(long, default_value = "30s", value_parser = quantity::parse_duration)]
        max: Duration,
    },
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// Print a new master key.
    Generate,
}

#[derive(clap::Args, Debug)]
struct ConfigFiles {
    /// A file, or a directory whose *.yml are read in the order of their names; a later one overrides an earlier one.
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct Admin {
    /// Its admin listener.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9600")]
    admin: Uri,
}

#[derive(clap::Args, Debug)]
struct Managed {
    #[command(flatten)]
    place: Place,
    /// How answers are printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "searchgate: {error:#}");
            if is_bad_configuration(&error) { ExitCode::from(BAD_CONFIGURATION) } else { ExitCode::FAILURE }
        }
    }
}

fn is_bad_configuration(error: &anyhow::Error) -> bool {
    let start = |error: &StartError| match error {
        StartError::BootstrapFile(_)
        | StartError::IdentityKey(_)
        | StartError::MasterKey(_)
        | StartError::NoBootstrapPassword
        | StartError::Realm(_)
        | StartError::Tls { .. }
        | StartError::Upstream(_) => true,
        StartError::Audit(_)
        | StartError::Listen { .. }
        | StartError::Store(_)
        | StartError::System(_)
        | StartError::Users(_) => false,
    };
    error.is::<Problems>()
        || error.downcast_ref().is_some_and(start)
        || error.downcast_ref().is_some_and(|error| !matches!(error, check::CheckError::Print(_)))
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut output = io::stdout().lock();
        match self {
            Self::Check { config, print_effective } => {
                check::check(&config.files, &Environment::of_process(), print_effective, &mut output)?;
            }
            Self::Completions { shell } => {
                clap_complete::generate(shell, &mut Arguments::command(), "searchgate", &mut output);
            }
            Self::Demo { upstream } => {
                drop(output);
                return demo::demo(upstream.as_deref()).map(ended);
            }
            Self::HashPassword => {
                let mut password = Zeroizing::new(String::new());
                io::stdin().read_line(&mut password).context("cannot read the password")?;
                let password = SecretText::new(password.trim_end_matches(['\r', '\n']).to_owned());
                writeln!(output, "{}", PasswordHash::of(&password)?.0.expose())?;
            }
            Self::Healthcheck { admin } => once(admin::healthcheck(&admin.admin))?,
            Self::Keys { managed, command } => {
                managed.run(async |session, format| command.run(session, format, &mut output).await)?;
            }
            Self::Sessions { managed, command } => {
                managed.run(async |session, format| command.run(session, format, &mut output).await)?;
            }
            Self::Migrations { config, output: format, command } => command.run(&config.files, format, &mut output)?,
            Self::Schema => schema::schema(&mut output)?,
            Self::Secret { command: SecretCommand::Generate } => {
                writeln!(output, "{}", STANDARD.encode(secret::random::<32>()))?;
            }
            Self::Serve { config } => {
                drop(output);
                return serve::serve(&config.files).map(ended);
            }
            Self::Shutdown { admin } => once(admin::shutdown(&admin.admin))?,
            Self::Users { managed, command } => {
                managed.run(async |session, format| command.run(session, format, &mut output).await)?;
            }
            Self::Wait { admin, max } => once(admin::wait(&admin.admin, max))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Managed {
    /// Opens the place, does something there, and closes it whatever became of that.
    fn run(self, work: impl AsyncFnOnce(&Session, Output) -> anyhow::Result<()>) -> anyhow::Result<()> {
        once(async {
            let session = self.place.open().await?;
            let done = work(&session, self.output).await;
            session.close().await;
            done
        })
    }
}

/// A drain that had to cut connections off is no clean end.
fn ended(drained: Drained) -> ExitCode {
    match drained {
        Drained::Clean => ExitCode::SUCCESS,
        Drained::Cut => ExitCode::FAILURE,
    }
}

/// Runs one small conversation.
fn once(conversation: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(conversation)
}

/// A name as a segment of a path or a value of a query.
fn percent(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => {
                text.push('%');
                let digits = [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
                text.extend(digits.into_iter().flatten().map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    text
}

/// `EX_CONFIG` of sysexits.h.
const BAD_CONFIGURATION: u8 = 78;
