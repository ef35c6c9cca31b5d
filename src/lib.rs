//! searchgate: a gateway in front of Elasticsearch- and OpenSearch-compatible clusters.
//!
//! Modules in the order in which a request meets them: [`listener`] accepts and decrypts,
//! [`gateway`] is the pipeline, [`identify`] proves who calls, [`authorize`] decides what they may do,
//! [`scan`] reads the bodies that name indices, [`credential`] picks what the cluster is shown,
//! [`forward`] sends over [`upstream`], and [`reauthenticate`] judges a refusal. [`api`] answers what searchgate serves itself and [`respond`]
//! words every answer of its own. Beneath them: [`store`] with [`users`], [`keys`], [`tokens`] and [`sessions`], whose
//! pairs [`renewal`] keeps alive.
//! Beside the pipeline: [`cluster`], the cluster's own security API, asked with [`fetch`]; [`demo`], a throw-away cluster
//! to try it on.

pub mod admin;
pub mod api;
pub mod authorize;
pub mod body;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod compatibility;
pub mod config;
pub mod credential;
pub mod demo;
pub mod der;
pub mod documents;
pub mod fetch;
pub mod forward;
pub mod framing;
pub mod gateway;
pub mod identify;
pub mod keys;
pub mod listener;
pub mod model;
pub mod passwords;
pub mod path;
pub mod pem;
pub mod privileges;
pub mod reauthenticate;
pub mod renewal;
pub mod replay;
pub mod respond;
pub mod role_mappings;
pub mod roles;
pub mod scan;
pub mod sealing;
pub mod secret;
pub mod service_accounts;
pub mod sessions;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod users;
