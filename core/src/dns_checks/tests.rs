use proptest::prelude::*;
use serde_json::{Value, json};

/// What a name server may say to anything, sense and nonsense.
const RECORDS: [&str; 24] = [
    "v=spf1 include:a.%n include:b.%n include:c.%n a:d.%n mx:e.%n exists:f.%n ptr:g.%n ~all",
    "v=spf1 redirect=r.%n",
    "v=spf1 include:acme.net -all",
    "v=spf1 ?include:spf.protection.outlook.com ip4:192.0.2.0/24 ip6:2001:db8::/32",
    "v=spf1 exists:%{ir}.%{v}.%{h}.%n a/8//8 mx/0 +all",
    "v=spf1 include:%{l}.x.net mx",
    "v=spf1 \u{7}",
    "v=DKIM1; p=",
    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "v=DKIM1; p=MIIBIjANBgkqhkiG9w0",
    "v=DMARC1; p=reject; rua=mailto:a@b.%n,mailto:c@d.net,mailto:e@f.net",
    "v=DMARC1; p=none; psd=y",
    "v=DMARC1; p=quarantine; psd=n; aspf=s",
    "v=DMARC1",
    "10 m1.%n.",
    "0 .",
    "20 192.0.2.1.",
    "",
    "192.0.2.1",
    "10.0.0.1",
    "2001:db8::1",
    "host.%n.",
    "\u{fffd}\u{202e}\u{0}",
    "hello",
];

const STATUSES: [&str; 7] = ["ok", "nodata", "nxdomain", "servfail", "refused", "timeout", "failed"];

/// An answer that depends on nothing but the question and the seed. `kind` is how much of it is records.
fn answer(question: &Value, seed: u64, kind: u64) -> Value {
    let name = question["name"].as_str().unwrap();
    let mut hash = seed;
    let mut next = || {
        hash ^= hash << 13;
        hash ^= hash >> 7;
        hash ^= hash << 17;
        usize::try_from(hash >> 33).unwrap()
    };
    let text = format!("{name} {}", question["type"]);
    let mixed: usize =
        text.bytes().map(|octet| usize::from(octet).wrapping_mul(next())).fold(0, usize::wrapping_add);
    let status =
        if mixed % 10 < usize::try_from(kind).unwrap() { "ok" } else { STATUSES[mixed % STATUSES.len()] };
    let count = if status == "ok" { 1 + mixed / 7 % 13 / 10 } else { 0 };
    let records: Vec<String> =
        (0..count).map(|at| RECORDS[(mixed / 91 + at) % RECORDS.len()].replace("%n", name)).collect();
    json!({"name": name, "type": question["type"], "status": status, "records": records})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is answered, it comes to an end with five steps, in few rounds and look-ups, and asks nothing twice.
    #[test]
    fn any_dns_is_judged(
        seed in 1_u64..,
        kind in 0_u64..11,
        from in prop::sample::select(vec!["acme.net", "a.b.c.d.e.f.g.h.i.acme.net", "news.acme.org", "example.com"]),
        envelope in prop::sample::select(vec!["acme.net", "bounce.acme.net", "a.b.c.d.e.f.g.h.i.vendor.net", ""]),
        server in prop::sample::select(vec!["smtp.office365.com", "smtp.eu.mailgun.org", "mail.acme.net", "email-smtp.eu-west-1.amazonaws.com"]),
        ehlo in prop::sample::select(vec!["", "chat.acme.net", "chat", "[192.0.2.1]", "a b"]),
    ) {
        let mut answers: Vec<Value> = Vec::new();
        for round in 1.. {
            let args = json!({"from_domain": from, "envelope_domain": envelope, "server": server, "ehlo_name": ehlo,
                "addresses": ["192.0.2.1", "192.0.2.1", "2001:db8::1", "10.0.0.1", "198.51.100.7", "203.0.113.9", "203.0.113.10", "x"],
                "answers": answers});
            let checks = serde_json::to_value(super::answer(&serde_json::from_value(args).unwrap())).unwrap();
            let steps = checks["steps"].as_array().unwrap();
            for step in steps {
                let text = |member: &str| step[member].as_str().unwrap().to_owned();
                prop_assert!(text("said").len() <= 300);
                prop_assert!(!text("said").chars().any(char::is_control) && !text("advice").chars().any(char::is_control));
                prop_assert!(text("advice").len() <= 1_500, "{}", step);
            }
            let ask = checks["ask"].as_array().unwrap();
            if ask.is_empty() {
                let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
                prop_assert_eq!(names, ["spf", "dkim", "dmarc", "mx", "ptr"]);
                break;
            }
            prop_assert!(round <= 14, "asks on and on");
            for question in ask {
                prop_assert!(!answers.iter().any(|known| known["name"] == question["name"] && known["type"] == question["type"]));
                answers.push(answer(question, seed, kind));
            }
            prop_assert!(answers.len() <= super::lookups::MAX);
        }
    }
}
