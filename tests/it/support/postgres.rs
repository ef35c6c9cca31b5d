//! A database of its own on a PostgreSQL that runs already.

use std::env;

use searchgate::secret;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A database of its own on a server that runs already; none where there is none.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) server: String,
    pub(crate) name: String,
}

impl Database {
    pub(crate) async fn make() -> Option<Self> {
        let Ok(server) = env::var("SEARCHGATE_TEST_POSTGRES") else {
            assert!(env::var_os("SEARCHGATE_TEST_REQUIRE_CLUSTERS").is_none(), "SEARCHGATE_TEST_POSTGRES is not set");
            eprintln!("skipped: SEARCHGATE_TEST_POSTGRES is not set");
            return None;
        };
        let name = format!("searchgate{}", u64::from_le_bytes(secret::random()));
        let made = Self { server, name: "postgres".to_owned() };
        made.run(&format!("CREATE DATABASE {name}")).await;
        Some(Self { name, ..made })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    /// Ends all connections to it but this one's, as a failing server would.
    pub(crate) async fn end_backends(&self) {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    }
}
