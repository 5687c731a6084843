use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_764_000_000_000;

/// A conversation's end: `[step, code, text]`, `[step, failure]`, or null for a probe that came through.
fn ended(health: &Value, end: &Value, mail: Option<&str>, now: i64) -> Value {
    let outcome = match end.as_array() {
        None => Value::Null,
        Some(end) if end.len() == 3 => {
            json!({"step": end[0], "reply": {"code": end[1], "text": end[2]}, "failure": null, "detail": ""})
        }
        Some(end) => json!({"step": end[0], "reply": null, "failure": end[1], "detail": ""}),
    };
    let args = json!({"health": health, "outcome": outcome, "mail": mail});
    serde_json::to_value(conclude(&serde_json::from_value(args).unwrap(), now)).unwrap()
}

/// A connection after those ends, each of a mail of its own.
fn after(ends: &[Value]) -> Value {
    ends.iter().enumerate().fold(Value::Null, |health, (at, end)| {
        ended(&health, end, Some(&format!("mail {at}")), NOW)["health"].clone()
    })
}

fn steered(primary: &Value, fallback: Option<&Value>, now: i64) -> Value {
    let mut connections = vec![json!({"name": "primary", "server": "a.example:587", "health": primary})];
    if let Some(fallback) = fallback {
        connections.push(json!({"name": "fallback", "server": "b.example:587", "health": fallback}));
    }
    serde_json::to_value(steer(&serde_json::from_value(json!({"connections": connections})).unwrap(), now))
        .unwrap()
}

fn refused_login() -> Value {
    json!(["auth", 535, "5.7.8 no"])
}

fn paused() -> Value {
    after(&[refused_login()])
}

fn failing() -> Value {
    after(&vec![json!(["connect", "refused"]); 3])
}

#[test]
fn what_an_end_means() {
    let check = |end: Value, state: &str, elsewhere: bool, unspent: bool| {
        let answer = ended(&Value::Null, &end, Some("m"), NOW);
        assert_eq!(
            (answer["health"]["state"].as_str(), &answer["elsewhere"], &answer["unspent"]),
            (Some(state), &json!(elsewhere), &json!(unspent)),
            "{end}"
        );
    };
    check(json!(["final_dot", 250, "2.0.0 ok"]), "ok", false, false);
    check(refused_login(), "paused", true, true);
    check(json!(["auth", 534, "5.7.9 app password"]), "paused", true, true);
    check(json!(["mail_from", 530, "5.7.0 login first"]), "paused", true, true);
    check(json!(["auth", 504, "5.5.4 mechanism"]), "paused", true, true);
    check(json!(["auth", "oauth_refused"]), "paused", true, true);
    check(json!(["auth", "oauth_unreachable"]), "paused", true, true);
    check(json!(["auth", 454, "4.7.0 later"]), "ok", true, false);
    check(json!(["connect", "refused"]), "ok", true, false);
    check(json!(["dns", "dns"]), "ok", true, false);
    check(json!(["tls", "certificate"]), "ok", true, false);
    check(json!(["greeting", 421, "busy"]), "ok", true, false);
    check(json!(["greeting", 554, "no"]), "ok", true, false);
    check(json!(["starttls", "not_offered"]), "ok", true, false);
    check(json!(["rcpt_to", 421, "4.3.2 closing"]), "ok", true, false);
    check(json!(["rcpt_to", "reset"]), "ok", true, false);
    check(json!(["final_dot", "timeout"]), "ok", false, false);
    check(json!(["final_dot", 451, "4.3.0 later"]), "ok", false, false);
    check(json!(["rcpt_to", 450, "4.7.1 greylisted"]), "ok", false, false);
    check(json!(["rcpt_to", 550, "5.1.1 unknown"]), "ok", false, false);
    check(json!(["mail_from", "not_offered"]), "ok", false, false);
    check(json!(["connect", "other"]), "ok", false, false);
}

#[test]
fn a_refused_login_pauses_until_a_probe_comes_through() {
    let mut health = paused();
    assert_eq!((&health["state"], &health["since"]), (&json!("paused"), &json!(NOW)));
    assert!(health["reason"].as_str().unwrap().contains("535"));
    let answer = steered(&health, None, NOW);
    assert_eq!(
        (&answer["use"], &answer["probe"], &answer["wait_until"]),
        (&json!([]), &json!([]), &json!(NOW + MINUTE_MS))
    );
    assert_eq!(
        (&answer["open"][0]["kind"], &answer["open"][0]["key"]),
        (&json!("connection_paused"), &json!("primary"))
    );
    let mut now = NOW;
    for minutes in [1, 2, 5, 10, 15, 30, 30] {
        assert_eq!(steered(&health, None, now + minutes * MINUTE_MS - 1)["probe"], json!([]));
        now += minutes * MINUTE_MS;
        assert_eq!(steered(&health, None, now)["probe"], json!(["primary"]));
        health = ended(&health, &refused_login(), None, now)["health"].clone();
        assert_eq!(health["since"], NOW, "it is one pause");
    }
    let back = ended(&health, &Value::Null, None, now)["health"].clone();
    assert_eq!((&back["state"], &back["rounds"], &back["reason"]), (&json!("ok"), &json!(0), &json!("")));
    let answer = steered(&back, None, now);
    assert_eq!(
        (&answer["use"], &answer["well"], &answer["open"]),
        (&json!(["primary"]), &json!(true), &json!([]))
    );
}

#[test]
fn a_mail_that_was_on_its_way_does_not_end_a_pause() {
    let health = ended(&paused(), &json!(["final_dot", 250, "ok"]), Some("m"), NOW)["health"].clone();
    assert_eq!(health["state"], "paused");
    let again = ended(&paused(), &refused_login(), Some("m"), NOW + 5)["health"].clone();
    assert_eq!(again, paused(), "fifty mails at once are one round");
}

#[test]
fn a_dead_server_fails_at_the_third_try_in_a_row() {
    let refused = json!(["connect", "refused"]);
    assert_eq!(after(&[refused.clone(), refused.clone()])["state"], "ok");
    assert_eq!(
        after(&[
            refused.clone(),
            refused.clone(),
            json!(["final_dot", 250, "ok"]),
            refused.clone(),
            refused.clone()
        ])["state"],
        "ok"
    );
    let health = failing();
    assert_eq!(health["state"], "failing");
    let answer = steered(&health, Some(&Value::Null), NOW);
    assert_eq!((&answer["use"], &answer["well"]), (&json!(["fallback"]), &json!(true)));
    assert_eq!(
        (&answer["open"][0]["kind"], &answer["open"][0]["facts"]["to"]),
        (&json!("failed_over"), &json!("fallback"))
    );
    let alone = steered(&health, None, NOW + 10 * SECOND_MS);
    assert_eq!(
        (&alone["use"], &alone["well"], &alone["probe"], &alone["open"]),
        (&json!(["primary"]), &json!(false), &json!(["primary"]), &json!([]))
    );
    assert_eq!(steered(&health, Some(&failing()), NOW)["use"], json!(["primary", "fallback"]));
    assert_eq!(steered(&paused(), Some(&failing()), NOW)["use"], json!(["fallback"]));
    assert_eq!(steered(&paused(), Some(&paused()), NOW)["use"], json!([]));
}

#[test]
fn a_server_that_comes_back_is_on_trial_until_it_takes_a_mail() {
    let back = ended(&failing(), &Value::Null, None, NOW)["health"].clone();
    assert_eq!((&back["state"], &back["rounds"]), (&json!("ok"), &json!(1)));
    let again = ended(&back, &json!(["mail_from", "reset"]), Some("m"), NOW)["health"].clone();
    assert_eq!((&again["state"], &again["probe_at"]), (&json!("failing"), &json!(NOW + 30 * SECOND_MS)));
    let taken = ended(&back, &json!(["final_dot", 250, "ok"]), Some("m"), NOW)["health"].clone();
    assert_eq!(taken["rounds"], 0);
}

#[test]
fn one_mail_that_is_put_off_is_greylisted_and_many_are_not() {
    let later = json!(["rcpt_to", 451, "4.7.1 later"]);
    let mut health = Value::Null;
    for _ in 0..9 {
        health = ended(&health, &later, Some("the same"), NOW)["health"].clone();
    }
    assert_eq!(health["state"], "ok");
    assert_eq!(after(&vec![later.clone(); 4])["state"], "ok");
    assert_eq!(after(&vec![later.clone(); 5])["state"], "failing");
    assert_eq!(after(&vec![json!(["rcpt_to", 452, "4.2.2 full"]); 9])["state"], "ok");
    let fifth = ended(&after(&vec![later.clone(); 4]), &later, Some("fifth"), NOW);
    assert_eq!((&fifth["elsewhere"], &fifth["unspent"]), (&json!(true), &json!(false)));
}

#[test]
fn an_identity_provider_that_refuses_is_told_and_one_that_is_away_is_asked_sooner() {
    let refused = after(&[json!(["auth", "oauth_refused"])]);
    assert_eq!(steered(&refused, Some(&Value::Null), NOW)["open"][0]["kind"], "oauth_refused");
    assert_eq!(steered(&refused, Some(&Value::Null), NOW)["open"][1]["kind"], "failed_over");
    let away = after(&[json!(["auth", "oauth_unreachable"])]);
    assert_eq!((&away["state"], &away["probe_at"]), (&json!("paused"), &json!(NOW + 10 * SECOND_MS)));
}

#[test]
fn a_login_that_is_refused_while_failing_pauses() {
    let health = ended(&failing(), &refused_login(), None, NOW)["health"].clone();
    assert_eq!((&health["state"], &health["probe_at"]), (&json!("paused"), &json!(NOW + MINUTE_MS)));
    let away = ended(&paused(), &json!(["connect", "refused"]), None, NOW)["health"].clone();
    assert_eq!((&away["state"], &away["cause"]), (&json!("paused"), &json!("login")));
}

fn any_end() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(refused_login()),
        Just(json!(["connect", "timeout"])),
        Just(json!(["final_dot", 250, "ok"])),
        Just(json!(["final_dot", "closed"])),
        Just(json!(["rcpt_to", 451, "4.3.0 x"])),
        Just(json!(["auth", "oauth_refused"])),
        Just(json!(["auth", "oauth_unreachable"])),
    ]
}

proptest! {
    /// Whatever happens, what is not well is probed within half an hour, mail waits only while all are paused, and a
    /// probe that comes through ends it.
    #[test]
    fn nothing_stays_unwell_unasked(ends in prop::collection::vec((any_end(), 0_usize..7, 0_i64..100_000), 0..60)) {
        let (mut health, mut now) = (Value::Null, NOW);
        for (end, mail, passed) in ends {
            now += passed;
            let id = format!("mail {mail}");
            // Only a probe comes through without a reply to the final dot.
            let mail = (!end.is_null() && mail > 0).then_some(id.as_str());
            let answer = ended(&health, &end, mail, now);
            health = answer["health"].clone();
            let well = health["state"] == "ok";
            prop_assert_eq!(well, health["probe_at"].is_null());
            prop_assert_eq!(well, health["reason"] == "");
            if let Some(at) = health["probe_at"].as_i64() {
                prop_assert!(at <= now + 30 * MINUTE_MS);
            }
            let steered = steered(&health, None, now);
            prop_assert_eq!(steered["use"] == json!([]), health["state"] == "paused");
            prop_assert_eq!(steered["use"] == json!([]), !steered["wait_until"].is_null());
            if answer["unspent"] == true {
                prop_assert_eq!(&health["state"], "paused", "else the mail would be tried again at once, for ever");
            }
            let probed = ended(&health, &Value::Null, None, now);
            prop_assert_eq!(&probed["health"]["state"], "ok");
        }
    }
}
