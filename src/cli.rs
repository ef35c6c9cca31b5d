//! The command line. No secret is taken on it: arguments are seen by everybody on the machine.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{CommandFactory as _, Parser, Subcommand};

pub mod check;
pub mod schema;

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
    /// Exit with 0 if a running gateway is alive.
    Healthcheck {
        #[command(flatten)]
        admin: Admin,
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
    /// Ask a running gateway to drain and end.
    Shutdown {
        #[command(flatten)]
        admin: Admin,
    },
    /// Wait until a running gateway is ready.
    Wait {
        #[command(flatten)]
        admin: Admin,
        /// How long at most, for example 30s.
        #[arg(long, default_value = "30s", value_parser = crate::config::quantity::parse_duration)]
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
    admin: String,
}
