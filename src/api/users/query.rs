//! `/_security/_query/user` (API page section 7.3).

use serde_json::{Map, Value};

use super::{QUERY, show};
use crate::{
    api::{
        Api, Call, Reply, access,
        failure::Failure,
        search::{self, Atom, Collector, Declared, Document, Kind, Request, Schema},
    },
    respond::Rejection,
    store::{UserNamespace, UserRecord},
};

impl Api {
    /// Searches the native users.
    pub(in crate::api) async fn query_users(&self, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let body = search::body(call)?;
        let with_profile = call.query.flag("with_profile_uid")?;
        let request = Request::read(&SCHEMA, &body)?;
        call.query.finish(call.path())?;
        request.validate()?;
        access::require(call.principal, &QUERY).map_err(Rejection::from)?;
        let search = request.compile(&SCHEMA, self.clock.now())?;
        let mut collector = Collector::new(&search);
        for user in self.users.all().await?.into_iter().filter(|user| user.namespace == UserNamespace::Native) {
            collector.see(user)?;
        }
        let found = collector.finish(false);
        let profiles = self.profile_uids(with_profile).await?;
        let shown: Vec<Value> = found
            .hits
            .into_iter()
            .map(|(user, sort)| {
                let uid = profiles.get(&(user.identity.username.clone(), "native".into()));
                let mut shown = show(user, uid.map(|uid| &**uid));
                if let (Some(sort), Some(shown)) = (sort, shown.as_object_mut()) {
                    shown.insert("_sort".to_owned(), sort);
                }
                shown
            })
            .collect();
        let mut answer = Map::new();
        answer.insert("total".into(), found.total.into());
        answer.insert("count".into(), shown.len().into());
        answer.insert("users".into(), shown.into());
        Ok(Reply::ok(answer.into()))
    }
}

impl Document for UserRecord {
    fn id(&self) -> &str {
        &self.identity.username
    }

    fn values(&self, field: &str) -> Vec<Atom<'_>> {
        let words = |text: &Option<Box<str>>| {
            let text = text.as_deref().unwrap_or_default();
            search::words(text).map(|word| Atom::Text(word.into())).collect()
        };
        match field {
            "username" => vec![Atom::text(&self.identity.username)],
            "roles" => self.identity.roles.iter().map(|role| Atom::text(role)).collect(),
            "enabled" => vec![Atom::Number(self.enabled.into())],
            "full_name" => words(&self.identity.full_name),
            "email" => words(&self.identity.email),
            _ => Vec::new(),
        }
    }
}

const fn field(name: &'static str, kind: Kind) -> Declared {
    Declared { name, stored: name, kind }
}

const SCHEMA: Schema = Schema {
    parser: "query_user_request_payload",
    aggregates: false,
    fields: &[
        field("username", Kind::Keyword),
        field("roles", Kind::Keyword),
        field("enabled", Kind::Boolean),
        field("full_name", Kind::Text),
        field("email", Kind::Text),
    ],
};
