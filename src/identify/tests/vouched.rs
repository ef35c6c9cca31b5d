//! Callers for whom a certificate, an issuer or a file vouches.

use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;
use crate::{
    config::{PrincipalFrom, Realm as Configured},
    listener::peer::TlsFacts,
    passwords::PasswordHash,
};

/// The far end of a connection whose handshake proved `name`.
fn proven(name: Option<&str>) -> Peer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    let leaf = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    let facts = TlsFacts { fingerprint: Some(crate::secret::sha256(&[&leaf])), client_chain: vec![leaf] };
    Peer { tls: Some(Arc::new(facts)), ..Peer::at("10.0.0.1:4000".parse().unwrap(), false) }
}

async fn certified(anonymous: bool) -> Gate {
    Gate::with(|config| {
        let principal_from = PrincipalFrom::SubjectCn;
        config.authentication.realms.push(Configured::Pki { name: "certs".into(), principal_from });
        if anonymous {
            config.authentication.anonymous.roles = vec!["guest".into()];
        }
    })
    .await
}

async fn name(gate: &Gate, shown: &Shown, peer: &Peer) -> Option<String> {
    gate.realms.identify(&shown.evidence(peer)).await.ok().map(|found| found.identity.username.to_string())
}

fn recalled(gate: &Gate, shown: &Shown, peer: &Peer) -> Option<String> {
    let found = gate.realms.recall(&shown.evidence(peer), gate.clock.now());
    found.map(|found| found.identity.username.to_string())
}

#[tokio::test]
async fn a_certificate_proves_who_calls_and_is_remembered() {
    let (gate, alice) = (certified(false).await, proven(Some("alice")));
    let found = gate.realms.identify(&Shown::default().evidence(&alice)).await.unwrap();
    assert_eq!(
        (&*found.realm.name, &*found.realm.kind, &found.identity.metadata["pki_dn"]),
        ("certs", "pki", &"CN=alice".into())
    );
    assert_eq!(recalled(&gate, &Shown::default(), &alice).as_deref(), Some("alice"));
    assert_eq!(recalled(&gate, &Shown::default(), &proven(Some("alice"))), None);
}

#[tokio::test]
async fn a_certificate_is_neither_taken_for_nobody_nor_for_somebody_else() {
    let gate = certified(true).await;
    let nobody = Peer::at("10.0.0.1:4000".parse().unwrap(), false);
    let odd = Shown::default().header("authorization", "Zzz abc");
    for shown in [Shown::default(), odd] {
        assert_eq!(name(&gate, &shown, &proven(Some("alice"))).await.as_deref(), Some("alice"));
        assert_eq!(name(&gate, &shown, &proven(Some("bob"))).await.as_deref(), Some("bob"));
        assert_eq!(name(&gate, &shown, &nobody).await.as_deref(), Some("_anonymous"));
        assert_ne!(recalled(&gate, &shown, &nobody).as_deref(), Some("alice"));
        assert_eq!(name(&gate, &shown, &proven(None)).await.as_deref(), Some("_anonymous"));
    }
}

#[tokio::test]
async fn credentials_win_over_a_certificate() {
    let (gate, alice) = (certified(true).await, proven(Some("alice")));
    assert_eq!(name(&gate, &Shown::default(), &alice).await.as_deref(), Some("alice"));
    let (_, key) = gate.key(None).await;
    assert_eq!(name(&gate, &key, &alice).await.as_deref(), Some("u"));
    assert_eq!(name(&gate, &Shown::api_key("nobody:x"), &alice).await, None);
}

#[tokio::test]
async fn without_a_pki_realm_a_certificate_is_nothing() {
    let gate = Gate::open().await;
    assert_eq!(name(&gate, &Shown::default(), &proven(Some("alice"))).await, None);
}

#[tokio::test]
async fn a_name_in_a_file_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.yml");
    let write = |password: &str| {
        let hash = PasswordHash::of(&text(password)).unwrap();
        std::fs::write(&path, format!("u: {{ password_hash: '{}', roles: [superuser] }}\n", hash.0.expose())).unwrap();
    };
    write("of the file");
    let gate = Gate::with(|config| {
        config.authentication.realms.push(Configured::File { name: "default_file".into(), path: path.clone() });
    })
    .await;
    let shown = |password: &str| {
        Shown::default().header("authorization", &format!("Basic {}", STANDARD.encode(format!("u:{password}"))))
    };
    let found = gate.identify(&shown("of the file")).await.unwrap();
    assert_eq!((&*found.realm.name, &*found.realm.kind), ("default_file", "file"));
    assert!(gate.identify(&shown(PASSWORD)).await.is_err());
    assert!(gate.recall(&shown("of the file")).is_some());
    write("another one");
    assert!(gate.realms.reload().is_empty());
    assert!(gate.recall(&shown("of the file")).is_none());
    assert!(gate.identify(&shown("another one")).await.is_ok());
    std::fs::write(&path, "u: [").unwrap();
    assert_eq!(gate.realms.reload().len(), 1);
    assert!(gate.identify(&shown("another one")).await.is_ok());
}
