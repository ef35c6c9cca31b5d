//! What follows a 401: it is examined, the credential renewed, and the request sent again, once.

use http::{Request, Response, StatusCode, response::Parts};
use tokio::time::Instant;

use super::{Door, Received, Site, answer::Record};
use crate::{
    authorize::Permit,
    body::Body,
    broker::Visit,
    credential::{Chosen, CredentialError},
    forward::ForwardError,
    listener::peer::Peer,
    reauthenticate::{self, Class, Facts, Next, Unrenewed, classify, classify::PEEK},
    renewal::RenewError,
    replay::{Kept, Outgoing},
    respond::{Reason, Rejection},
    upstream::{
        client::Lease,
        upload::{Progress, Upload},
    },
};

/// What is kept of a request whose credential can be renewed.
pub(super) struct Again {
    credential: Chosen,
    /// Whether it is no sign of its session's user.
    background: bool,
    head: Request<()>,
    kept: Kept,
    /// When it was first sent.
    sent: Instant,
}

/// A 401, and what it is about.
struct Refusal {
    parts: Parts,
    /// None when the cluster broke off while it was read.
    body: Option<Body>,
    lease: Option<Lease>,
    class: Class,
}

impl Door {
    /// Keeps what a second attempt needs, where a refusal may be mended; elsewhere nothing is copied.
    pub(super) fn keep(
        &self,
        (credential, background): (&Chosen, bool),
        head: &Request<()>,
        body: Body,
    ) -> (Outgoing, Option<Again>) {
        let renewable = match credential {
            Chosen::Client | Chosen::None => false,
            Chosen::Gateway(_) => self.site.credentials.can_be_replaced(),
            Chosen::Session(_) => true,
        };
        if !renewable {
            return (Outgoing::Plain(body), None);
        }
        let (body, kept) = self.core.shared.replays.tee(body);
        let (credential, head, sent) = (credential.clone(), head.clone(), Instant::now());
        (body, Some(Again { credential, background, head, kept, sent }))
    }

    /// Judges a 401 and does what the judgement says. `unread` gets what a client still sends that is not sent on.
    pub(super) async fn refused(
        &self,
        permit: &Permit,
        again: Option<Again>,
        answered: Received,
        (peer, unread): (&Peer, &mut Body),
        record: &mut Record,
    ) -> Result<Received, Rejection> {
        let metrics = &self.core.shared.metrics;
        let Some(again) = again else {
            metrics.upstream_401("not_ours");
            if self.site.identity.signs(permit) {
                metrics.upstream_credential_rejected();
                return Err(CredentialError::Rejected.into()); // another token would be signed with the same key
            }
            return Ok(answered); // D4, D6
        };
        again.kept.pause();
        let refusal = self.examine(answered, record).await;
        metrics.upstream_401(refusal.class.as_str());
        if refusal.class == Class::HeaderLost {
            tracing::error!("the cluster did not see the credential that it was sent: something before it removes it");
        }
        let transient = self.core.shared.recovery.transient_failure;
        let facts = Facts {
            status: StatusCode::UNAUTHORIZED,
            provenance: again.credential.provenance(),
            second: false,
            moved: self.is_moved(&again.credential),
            renewable: self.is_renewable(&again.credential, peer),
            class: refusal.class,
            needs_login: false,
            replayable: again.kept.is_held(),
            in_time: self.left(&again, record) >= self.core.shared.recovery.refresh_timeout + MARGIN,
        };
        let mut next = reauthenticate::decide(facts);
        if let Next::Probe = next {
            next = match self.probe(&again.credential).await {
                Some(class) => reauthenticate::decide(Facts { class, ..facts }),
                None => reauthenticate::unrenewed(Unrenewed::Transient, transient),
            };
        }
        let waits = matches!(next, Next::Replay | Next::Recover | Next::RecoverAndAskAgain);
        let renewed = if waits { Some(self.renew(&again, peer, facts.moved, record).await) } else { None };
        match (next, renewed) {
            (Next::Recover | Next::Replay, Some(Ok(fresh))) => {
                drop(refusal);
                self.send_again(permit, again, fresh, record).await
            }
            (_, Some(Err(failed))) => {
                let next = reauthenticate::unrenewed(failed, transient);
                self.conclude(next, refusal, again, unread)
            }
            (Next::RecoverBehindAndAskAgain, _) => {
                let (site, credential) = (self.site.clone(), again.credential.clone());
                let (peer, background) = (peer.clone(), again.background);
                tokio::task::spawn_local(async move {
                    // Its outcome is the next request's.
                    let _renewed = renew(&site, &credential, Visit { peer: &peer, background }).await;
                });
                self.conclude(Next::AskAgain, refusal, again, unread)
            }
            (next, _) => self.conclude(next, refusal, again, unread),
        }
    }

    /// D10: a certificate is gone with its connection.
    fn is_renewable(&self, credential: &Chosen, peer: &Peer) -> bool {
        match (credential, &self.site.broker) {
            (Chosen::Session(live), Some(broker)) => broker.can_renew(live, peer),
            _ => true,
        }
    }

    /// D9: whether what was refused has been replaced since.
    fn is_moved(&self, credential: &Chosen) -> bool {
        match (credential, &self.site.broker) {
            (Chosen::Gateway(held), _) => self.site.credentials.held().generation != held.generation,
            (Chosen::Session(live), Some(broker)) => broker.later(live).is_some(),
            _ => false,
        }
    }

    /// Whether the cluster still takes what it refused (section 4): `None` while it cannot tell. Only what a session shows
    /// is asked about.
    async fn probe(&self, credential: &Chosen) -> Option<Class> {
        match (credential, &self.site.broker) {
            (Chosen::Session(live), Some(broker)) => {
                let taken = broker.probe(live).await?;
                Some(if taken { Class::NotToken } else { Class::Token })
            }
            _ => Some(Class::NotToken),
        }
    }

    /// Ends a request that is not sent again.
    fn conclude(&self, next: Next, refusal: Refusal, again: Again, unread: &mut Body) -> Result<Received, Rejection> {
        let error = match next {
            Next::Deliver | Next::Probe => return Ok(refusal.deliver(None)?),
            Next::DeliverAs(code) => return Ok(refusal.deliver(Some(code))?),
            Next::Explain(error) => error,
            Next::AskAgain
            | Next::Replay
            | Next::Recover
            | Next::RecoverAndAskAgain
            | Next::RecoverBehindAndAskAgain => CredentialError::Resend,
        };
        let metrics = &self.core.shared.metrics;
        match error {
            CredentialError::Rejected => metrics.upstream_credential_rejected(),
            CredentialError::Resend => metrics.reauthentication(provider(&again.credential), "not_replayable"),
            _ => {}
        }
        *unread = again.kept.rest();
        Err(error.into())
    }

    /// Sends the request a second time. There is no third.
    async fn send_again(
        &self,
        permit: &Permit,
        again: Again,
        fresh: Chosen,
        record: &mut Record,
    ) -> Result<Received, Rejection> {
        let patience = self.left(&again, record);
        let body = again.kept.again().ok_or(CredentialError::Resend)?;
        let limits = self.core.shared.limits.load();
        let (upload, progress) = Upload::new(body, limits.body_bytes, limits.idle_timeout);
        drop(limits);
        record.progress = progress;
        let answered = self.attempt(permit, &fresh, again.head.map(|()| upload), patience, record).await?;
        let facts = Facts::of_second(answered.0.status(), fresh.provenance());
        if facts.status == StatusCode::UNAUTHORIZED {
            self.core.shared.metrics.reauthentication(provider(&fresh), "retry_rejected");
        }
        match reauthenticate::decide(facts) {
            Next::Explain(error) => {
                self.core.shared.metrics.upstream_credential_rejected();
                Err(error.into())
            }
            _ => Ok(answered),
        }
    }

    /// Reads enough of a refusal to judge it. A connection that has nothing more to say serves the next request.
    async fn examine(&self, (response, mut lease): Received, record: &mut Record) -> Refusal {
        let (parts, body) = response.into_parts();
        let patience = self.core.shared.upstream.request_timeout;
        let begun = tokio::time::timeout(patience, body.begin(PEEK)).await.ok().and_then(Result::ok);
        let start = begun.as_ref().map_or(&[][..], |(start, _)| start);
        let class = classify(parts.status, &parts.headers, start).unwrap_or(Class::Unknown);
        let idle = !record.progress.as_deref().is_some_and(Progress::is_under_way);
        if idle
            && matches!(begun, Some((_, Body::Empty | Body::Full(_))))
            && let Some(lease) = lease.take()
        {
            record.answered(&lease);
            lease.give_back(Instant::now());
        }
        Refusal { parts, body: begun.map(|(_, body)| body), lease, class }
    }

    /// Renews what was refused, for as long as the request may wait for it.
    async fn renew(&self, again: &Again, peer: &Peer, moved: bool, record: &Record) -> Result<Chosen, Unrenewed> {
        let patience = self.left(again, record).min(self.core.shared.recovery.max_wait);
        let visit = Visit { peer, background: again.background };
        let renewed = tokio::time::timeout(patience, renew(&self.site, &again.credential, visit)).await;
        let renewed = renewed.unwrap_or(Err(Unrenewed::Transient));
        if let Chosen::Session(_) = again.credential {
            return renewed; // counted where it is known who did it
        }
        let outcome = match renewed {
            Ok(_) if moved => "current_token",
            Ok(_) => "refreshed",
            Err(Unrenewed::Expired) => "expired",
            Err(Unrenewed::Transient) => "transient",
            Err(Unrenewed::ClientMismatch | Unrenewed::Rejected) => "rejected",
            Err(Unrenewed::Gone | Unrenewed::InteractionNeeded) => "gone",
        };
        self.core.shared.metrics.reauthentication(provider(&again.credential), outcome);
        renewed
    }

    /// What is left of `upstream.request_timeout`, which both attempts share; it runs while the cluster has the whole
    /// request.
    fn left(&self, again: &Again, record: &Record) -> std::time::Duration {
        let since = match &record.progress {
            Some(progress) => progress.finished().unwrap_or_else(Instant::now),
            None => again.sent,
        };
        self.core.shared.upstream.request_timeout.saturating_sub(since.elapsed())
    }
}

impl Refusal {
    fn deliver(self, code: Option<&'static str>) -> Result<Received, ForwardError> {
        let Self { parts, body, lease, .. } = self;
        let mut response = Response::from_parts(parts, body.ok_or(ForwardError::Interrupted)?);
        if let Some(code) = code {
            response.extensions_mut().insert(Reason(code));
        }
        Ok((response, lease))
    }
}

/// Renews what was refused: once for all that were refused with it.
async fn renew(site: &Site, refused: &Chosen, visit: Visit<'_>) -> Result<Chosen, Unrenewed> {
    match (refused, &site.broker) {
        (Chosen::Gateway(held), _) => match site.credentials.replace(held).await {
            Ok(fresh) => Ok(Chosen::Gateway(fresh)),
            Err(CredentialError::Rejected) => Err(Unrenewed::Rejected),
            Err(_) => Err(Unrenewed::Transient),
        },
        (Chosen::Session(live), Some(broker)) => {
            if let Some(later) = broker.later(live) {
                return Ok(Chosen::Session(later)); // D9
            }
            broker.renew(live, visit).await.map(Chosen::Session).map_err(|error| match error {
                RenewError::Busy | RenewError::Store(_) | RenewError::Transient { .. } => Unrenewed::Transient,
                RenewError::Expired => Unrenewed::Expired,
                RenewError::Gone => Unrenewed::Gone,
                RenewError::OtherClient => Unrenewed::ClientMismatch,
                RenewError::Rejected => Unrenewed::Rejected,
            })
        }
        (Chosen::Client | Chosen::None | Chosen::Session(_), _) => Err(Unrenewed::InteractionNeeded),
    }
}

/// Whose credential it is, as metrics name it.
fn provider(credential: &Chosen) -> &'static str {
    match credential {
        Chosen::Gateway(_) => "gateway",
        Chosen::Client => "client",
        Chosen::None => "none",
        Chosen::Session(live) => live.session.provider.kind.as_str(),
    }
}

/// What a renewal needs beside the call to the cluster.
const MARGIN: std::time::Duration = std::time::Duration::from_secs(1);
