use super::*;
use crate::{
    fetch::testing::Server,
    identify::jwt::{
        keys::Signature,
        testing::{Signer, claims},
        token::Token,
    },
};

/// Keys at the address of a server, watched until the test ends.
struct Watched {
    server: Server,
    source: Arc<KeySource>,
    _stop: tokio_util::sync::DropGuard,
}

impl Watched {
    fn start(keys: Option<&Signer>) -> Self {
        let server = Server::start();
        match keys {
            Some(signer) => server.answer("200 OK", &signer.set()),
            None => server.answer("503 Service Unavailable", ""),
        }
        let tls = || Err::<_, rustls::pki_types::InvalidDnsNameError>(rustls::pki_types::InvalidDnsNameError);
        let remote = Remote::new(&server.url("/keys").parse().unwrap(), tls).unwrap();
        let source = KeySource::new("corp".into(), Place::Remote(remote), Arc::default());
        let source = Arc::new(source.open().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&source).watch(stop.clone()));
        Self { server, source, _stop: stop.drop_guard() }
    }

    fn judges(&self, signer: &Signer) -> Signature {
        let token = signer.sign(&claims());
        self.source.current().map_or(Signature::Unknown, |keys| keys.verify(&Token::read(&token).unwrap()))
    }

    /// As if the pause between readings were over.
    fn rest(&self) {
        self.source.state.lock().not_before = Instant::now();
    }
}

#[tokio::test]
async fn keys_are_read_for_whoever_comes_first() {
    let signer = Signer::new("ES256", "k");
    let watched = Watched::start(Some(&signer));
    watched.source.refresh().await;
    assert_eq!(watched.judges(&signer), Signature::Genuine);
    assert!(!watched.source.is_failing());
}

#[tokio::test]
async fn a_new_key_is_found_and_an_old_one_forgotten() {
    let (old, new) = (Signer::new("ES256", "old"), Signer::new("ES256", "new"));
    let watched = Watched::start(Some(&old));
    watched.source.refresh().await;
    watched.server.answer("200 OK", &new.set());
    watched.rest();
    watched.source.refresh().await;
    assert_eq!((watched.judges(&new), watched.judges(&old)), (Signature::Genuine, Signature::Unknown));
}

#[tokio::test]
async fn many_who_ask_cause_one_reading_and_the_next_waits() {
    let watched = Watched::start(Some(&Signer::new("ES256", "k")));
    let ask = || watched.source.refresh();
    tokio::join!(ask(), ask(), ask(), ask());
    for _ in 0..20 {
        ask().await;
    }
    assert_eq!(watched.server.asked().len(), 1);
}

#[tokio::test]
async fn the_last_good_keys_outlive_the_issuer() {
    let signer = Signer::new("ES256", "k");
    let watched = Watched::start(Some(&signer));
    watched.source.refresh().await;
    for (status, body) in [("500 Oops", ""), ("302 Found\r\nlocation: /x", ""), ("200 OK", "{}"), ("200 OK", "<html>")]
    {
        watched.server.answer(status, body);
        watched.rest();
        watched.source.refresh().await;
        assert!(watched.source.is_failing(), "{status}");
        assert_eq!(watched.judges(&signer), Signature::Genuine, "{status}");
    }
}

#[tokio::test]
async fn an_issuer_that_was_never_there_leaves_no_keys() {
    let watched = Watched::start(None);
    watched.source.refresh().await;
    assert!(watched.source.current().is_none() && watched.source.is_failing());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_vain_goes_on() {
    let source = KeySource::new("corp".into(), Place::File("/nowhere".into()), Arc::default());
    source.refresh().await; // nobody watches
    assert!(source.is_failing());
}

#[test]
fn a_file_without_keys_is_refused_at_once() {
    for place in ["/nowhere", "/dev/null"] {
        let source = KeySource::new("corp".into(), Place::File(place.into()), Arc::default());
        assert!(source.open().is_err(), "{place}");
    }
}
