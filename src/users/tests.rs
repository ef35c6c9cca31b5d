use parking_lot::Mutex;

use super::*;
use crate::store::memory::Memory;

type News = Arc<Mutex<Vec<Change>>>;

fn users() -> (Users, News) {
    let news = News::default();
    let heard = Arc::clone(&news);
    let announce: Announce = Arc::new(move |change| heard.lock().push(change.clone()));
    (Users::new(AnyStore::Memory(Arc::new(Memory::default())), Passwords::start(1, 8), announce), news)
}

fn text(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn identity(name: &str) -> Identity {
    Identity { username: name.into(), ..Identity::default() }
}

async fn may_enter(users: &Users, name: &str, password: &str) -> bool {
    users.verify(UserNamespace::Native, name, text(password)).await.unwrap().is_some()
}

#[tokio::test]
async fn the_superuser_takes_its_first_password_and_no_second() {
    let (users, _) = users();
    assert!(!users.is_bootstrapped().await.unwrap());
    assert!(users.bootstrap(&text("first-password")).await.unwrap());
    assert!(!users.bootstrap(&text("second-password")).await.unwrap());
    assert!(users.is_bootstrapped().await.unwrap());
    let user = users.verify(UserNamespace::Reserved, "elastic", text("first-password")).await.unwrap().unwrap();
    assert_eq!(user.identity.roles, ["superuser".into()]);
    let second = users.verify(UserNamespace::Reserved, "elastic", text("second-password")).await.unwrap();
    assert!(second.is_none());
}

#[tokio::test]
async fn only_the_right_password_of_an_enabled_user_is_accepted() {
    let (users, _) = users();
    assert!(users.put(identity("jack"), Some(text("secret1")), true).await.unwrap());
    assert!(may_enter(&users, "jack", "secret1").await);
    assert!(!may_enter(&users, "jack", "secret2").await);
    assert!(!may_enter(&users, "jill", "secret1").await);
    assert!(!users.put(identity("jack"), None, false).await.unwrap());
    assert!(!may_enter(&users, "jack", "secret1").await);
}

#[tokio::test]
async fn an_update_without_a_password_keeps_it() {
    let (users, _) = users();
    users.put(identity("jack"), Some(text("secret1")), true).await.unwrap();
    users.put(Identity { email: Some("j@k".into()), ..identity("jack") }, None, true).await.unwrap();
    assert!(may_enter(&users, "jack", "secret1").await);
}

#[tokio::test]
async fn a_new_user_needs_a_password() {
    let (users, news) = users();
    let refused = users.put(identity("jack"), None, true).await;
    assert!(matches!(refused, Err(UsersError::NoPassword)));
    assert!(news.lock().is_empty());
}

#[tokio::test]
async fn a_change_is_announced_before_the_answer() {
    let (users, news) = users();
    users.put(identity("jack"), Some(text("secret1")), true).await.unwrap();
    assert_eq!(*news.lock(), [Change::User(UserNamespace::Native, "jack".into())]);
}

#[tokio::test]
async fn a_native_user_does_not_enter_as_a_reserved_one() {
    let (users, _) = users();
    users.put(identity("elastic"), Some(text("secret1")), true).await.unwrap();
    assert!(users.verify(UserNamespace::Reserved, "elastic", text("secret1")).await.unwrap().is_none());
}

#[tokio::test]
async fn every_reserved_user_is_listed_and_enters_once_it_has_a_password() {
    let (users, news) = users();
    let names: Vec<_> = users.all().await.unwrap().into_iter().map(|user| user.identity.username).collect();
    assert_eq!(names.len(), 7);
    for name in &names {
        let enters = async |password| users.verify(UserNamespace::Reserved, name, text(password)).await.unwrap();
        assert!(enters("secret1").await.is_none(), "{name}");
        let hash = users.hash(text("secret1")).await.unwrap();
        assert!(users.change(name, Some(hash), None).await.unwrap());
        assert_eq!(enters("secret1").await.unwrap().identity.roles, reserved::identity(name).unwrap().roles);
        assert_eq!(news.lock().pop(), Some(Change::User(UserNamespace::Reserved, name.clone())));
    }
}

#[tokio::test]
async fn a_reserved_user_that_was_disabled_first_stays_disabled_with_a_password() {
    let (users, _) = users();
    assert!(users.change("kibana", None, Some(false)).await.unwrap());
    let hash = users.hash(text("secret1")).await.unwrap();
    assert!(users.change("kibana", Some(hash), None).await.unwrap());
    assert!(users.verify(UserNamespace::Reserved, "kibana", text("secret1")).await.unwrap().is_none());
    let listed = users.all().await.unwrap();
    assert!(listed.iter().all(|user| user.enabled != (&*user.identity.username == "kibana")));
}

#[tokio::test]
async fn an_unknown_native_user_is_not_made_by_a_change() {
    let (users, _) = users();
    assert!(!users.change("nobody", None, Some(true)).await.unwrap());
    assert!(!users.knows(UserNamespace::Native, "nobody").await.unwrap());
}

#[test]
fn unknown_roles_have_no_descriptor() {
    let descriptors = Users::descriptors(&["nothing".into(), "superuser".into()]);
    assert_eq!(descriptors.keys().collect::<Vec<_>>(), ["superuser"]);
    assert_eq!(descriptors["superuser"]["indices"][1]["allow_restricted_indices"], true);
}
