use proptest::prelude::*;

use super::*;
use crate::account::tests::{anna, row};

const NOW: i64 = 1_764_000_000_000;
const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn landing(purpose: Purpose) -> LandingArgs {
    LandingArgs {
        purpose,
        token: TOKEN.into(),
        row: Some(row(purpose)),
        account: Some(anna()),
        site: Site::example(),
        accept_language: String::new(),
    }
}

fn check_landing(change: impl Fn(&mut LandingArgs), now: i64, expected: State) {
    for purpose in [Purpose::Reset, Purpose::Verify] {
        let mut args = landing(purpose);
        change(&mut args);
        let shown = show_landing(&args, now).unwrap();
        assert_eq!(shown.state, expected, "{purpose:?}");
        assert_eq!(shown.usable, expected == State::Good);
        assert_eq!(
            shown.page.html.contains(TOKEN),
            shown.usable,
            "the form is there only where it can be used"
        );
        if args.row.is_some() {
            let redeemed = redeem(&args, now).unwrap();
            assert_eq!((redeemed.proceed, redeemed.page.is_none()), (shown.usable, shown.usable));
        }
    }
}

#[test]
fn links() {
    let expires_at = row(Purpose::Reset).expires_at;
    check_landing(|_| (), NOW, State::Good);
    check_landing(|_| (), expires_at - 1, State::Good);
    check_landing(|_| (), expires_at, State::Expired);
    check_landing(|_| (), expires_at + 1_000, State::Expired);
    check_landing(|a| a.row = None, NOW, State::Unknown);
    check_landing(|a| a.token.push('A'), NOW, State::Unknown);
    check_landing(|a| a.token = String::new(), NOW, State::Unknown);
    check_landing(|a| a.token.truncate(42), NOW, State::Unknown);
    check_landing(|a| a.token = TOKEN.repeat(2), NOW, State::Unknown);
    check_landing(|a| a.account = None, NOW, State::Dead);
    check_landing(|a| a.account.as_mut().unwrap().deleted = true, NOW, State::Dead);
    check_landing(|a| a.account.as_mut().unwrap().email = "new@example.com".into(), NOW, State::Dead);
    check_landing(|a| a.row.as_mut().unwrap().account_id = "bob".into(), NOW, State::Dead);
    let other = |a: &mut LandingArgs| {
        let purpose = if a.purpose == Purpose::Reset { Purpose::Verify } else { Purpose::Reset };
        a.row = Some(row(purpose));
    };
    check_landing(other, NOW, State::Unknown);
}

#[test]
fn redeeming_needs_a_row() {
    let mut args = landing(Purpose::Reset);
    args.row = None;
    assert_eq!(redeem(&args, NOW).err().unwrap().field(), "row");
}

#[test]
fn languages() {
    let check = |accept: &str, account: Option<&str>, default: &str, expected: &str| {
        let account = account.map(|locale| Account { locale: locale.into(), ..anna() });
        let site = Site { default_locale: default.into(), ..Site::example() };
        assert_eq!(language(accept, account.as_ref(), &site), expected);
    };
    check("ja", Some("de"), "en", "ja");
    check("", Some("de"), "en", "de");
    check("xx", Some("de"), "en", "de");
    check("", Some("xx"), "fa", "fa");
    check("", None, "fa", "fa");
    check("", None, "", "en");
}

fn form(purpose: Purpose, body: &str) -> FormAnswer {
    read_form(&FormArgs {
        purpose,
        body: Base64(body.as_bytes().to_vec()),
        too_large: false,
        site: Site::example(),
        accept_language: String::new(),
    })
    .unwrap()
}

#[test]
fn forms_that_are_taken() {
    let check = |purpose, body: &str, expected: Option<&str>| {
        let read = form(purpose, body).form.unwrap_or_else(|| panic!("{body} was refused"));
        assert_eq!(read.new_password.as_deref(), expected);
        assert_eq!(read.token, TOKEN);
        assert!(read.digest.0 == Token::parse(TOKEN).unwrap().digest());
    };
    check(
        Purpose::Reset,
        &format!("token={TOKEN}&new_password=a+b%26&confirm_password=a+b%26"),
        Some("a b&"),
    );
    check(Purpose::Reset, &format!("new_password=x&token={TOKEN}&confirm_password=x&other=y"), Some("x"));
    check(Purpose::Verify, &format!("token={TOKEN}"), None);
    check(Purpose::Verify, &format!("token={TOKEN}&new_password=x"), None);
}

#[test]
fn forms_that_are_not() {
    let check = |purpose, body: &str, again: bool| {
        let answer = form(purpose, body);
        assert!(answer.form.is_none(), "{body} was taken");
        let page = answer.page.unwrap();
        assert_eq!(page.html.contains(TOKEN), again, "{body}");
        assert!(!page.html.contains("s3cret"), "a typed password is never shown again");
    };
    check(Purpose::Reset, &format!("token={TOKEN}"), true);
    check(Purpose::Reset, &format!("token={TOKEN}&new_password=&confirm_password="), true);
    check(Purpose::Reset, &format!("token={TOKEN}&new_password=s3cret"), true);
    check(Purpose::Reset, &format!("token={TOKEN}&new_password=s3cret&confirm_password=s3crets"), true);
    for purpose in [Purpose::Reset, Purpose::Verify] {
        check(purpose, "", false);
        check(purpose, "token=x&new_password=s3cret&confirm_password=s3cret", false);
        check(purpose, &format!("token={TOKEN}&token={TOKEN}"), false);
        check(purpose, &format!("token={TOKEN}&x=%"), false);
        check(purpose, &format!("{{\"token\":\"{TOKEN}\"}}"), false);
    }
}

#[test]
fn a_form_too_large() {
    let args = FormArgs {
        purpose: Purpose::Reset,
        body: Base64(Vec::new()),
        too_large: true,
        site: Site::example(),
        accept_language: String::new(),
    };
    assert!(read_form(&args).unwrap().page.is_some());
}

fn check_outcome(
    purpose: Purpose,
    reply: Option<(u16, &str)>,
    change: fn(&mut Account),
    expected: Redeemed,
    shows: &str,
) {
    let mut account = anna();
    change(&mut account);
    let args = OutcomeArgs {
        purpose,
        token: TOKEN.into(),
        reply: reply.map(|(status, body)| HttpReply { status, body: Base64(body.as_bytes().to_vec()) }),
        row: TokenRow { redirect: Some("/team/x".into()), ..row(purpose) },
        account: Some(account),
        site: Site::example(),
        accept_language: String::new(),
    };
    let answer = redeem_outcome(&args).unwrap();
    assert_eq!(answer.result, expected, "{purpose:?} {reply:?}");
    assert!(answer.page.html.contains(shows), "{purpose:?} {reply:?} lacks {shows:?}: {}", answer.page.html);
    let form_again = matches!(expected, Redeemed::Refused | Redeemed::Retry);
    assert_eq!(answer.page.html.contains(TOKEN), form_again);
}

#[test]
fn outcomes() {
    use Redeemed::{Done, Refused, Retry, Unknown};
    let (reset, verify) = (Purpose::Reset, Purpose::Verify);
    let weak = r#"{"id":"model.user.is_valid.pwd_lowercase.app_error","message":"Your password must contain at least 10 characters.","request_id":"x","status_code":400}"#;
    let gone = r#"{"id":"api.user.reset_password.invalid_link.app_error","message":"no"}"#;
    let bad_link = r#"{"id":"api.user.verify_email.bad_link.app_error","message":"no"}"#;
    check_outcome(reset, Some((200, "{\"status\":\"OK\"}")), |_| (), Done, "/login");
    check_outcome(verify, Some((200, "")), |_| (), Done, "redirect_to=");
    check_outcome(reset, Some((400, weak)), |_| (), Refused, "at least 10 characters");
    check_outcome(reset, Some((400, weak)), |a| a.password_stamp += 1, Refused, "at least 10 characters");
    check_outcome(reset, Some((400, "{\"message\":\"<script>\\u0007\"}")), |_| (), Refused, "&lt;script&gt;");
    check_outcome(reset, Some((400, gone)), |_| (), Retry, "alert");
    check_outcome(verify, Some((400, bad_link)), |_| (), Retry, "alert");
    check_outcome(reset, Some((429, "limit exceeded")), |_| (), Refused, "alert");
    check_outcome(reset, Some((400, "not json")), |_| (), Refused, "alert");
    check_outcome(reset, Some((500, "{\"message\":\"db\"}")), |_| (), Refused, "alert");
    check_outcome(reset, Some((500, "")), |a| a.password_stamp += 1, Done, "/login");
    check_outcome(reset, Some((302, "")), |_| (), Unknown, "");
    check_outcome(reset, Some((0, "")), |_| (), Unknown, "");
    check_outcome(reset, None, |_| (), Unknown, "");
    check_outcome(reset, None, |a| a.password_stamp += 1, Done, "/login");
    check_outcome(reset, None, |a| a.password_stamp -= 1, Unknown, "");
    check_outcome(verify, None, |_| (), Unknown, "");
    check_outcome(verify, None, |a| a.email_verified = true, Done, "/login");
    check_outcome(
        verify,
        None,
        |a| {
            a.email_verified = true;
            a.email = "other@example.com".into();
        },
        Unknown,
        "",
    );
}

#[test]
fn an_unsafe_redirect_in_a_row_goes_nowhere() {
    let args = OutcomeArgs {
        purpose: Purpose::Verify,
        token: TOKEN.into(),
        reply: Some(HttpReply { status: 200, body: Base64(Vec::new()) }),
        row: TokenRow { redirect: Some("//evil.example".into()), ..row(Purpose::Verify) },
        account: Some(anna()),
        site: Site::example(),
        accept_language: String::new(),
    };
    assert!(!redeem_outcome(&args).unwrap().page.html.contains("evil"));
}

proptest! {
    #[test]
    fn any_form_is_answered(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let args = FormArgs {
            purpose: Purpose::Reset, body: Base64(body), too_large: false, site: Site::example(),
            accept_language: String::new(),
        };
        let answer = read_form(&args).unwrap();
        prop_assert!(answer.form.is_some() != answer.page.is_some());
    }

    #[test]
    fn any_token_and_language_is_answered(token in "\\PC{0,60}", accept_language in "\\PC{0,60}") {
        let args = LandingArgs { token, accept_language, ..landing(Purpose::Reset) };
        show_landing(&args, NOW).unwrap();
    }
}
