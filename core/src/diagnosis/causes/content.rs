//! What is refused of the message itself, and of where it comes from.

use super::Cause;
use crate::{Failure, Step};

const ANY: &[Step] =
    &[Step::Greeting, Step::Ehlo, Step::MailFrom, Step::RcptTo, Step::Data, Step::Body, Step::FinalDot];
const MESSAGE: &[Step] = &[Step::Data, Step::Body, Step::FinalDot];

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "blocklist_misused",
        "the server asks a blocklist in a way that it forbids, and takes the complaint for a listing",
        |v| v.at(ANY) && v.refused() && v.says(&["open resolver", "volume of queries", "/returnc/"]),
        "The receiving server asks {blocklist} through a public DNS resolver, and takes the refusal for a listing. This \
         machine is not listed: tell whoever runs {host} to use a resolver of its own.",
    ),
    Cause::fails(
        "blocklisted",
        "the address that the mail comes from is on a blocklist",
        |v| {
            let lists = [
                "spamhaus",
                "barracuda",
                "spamcop",
                "sorbs",
                "uceprotect",
                "blocked using",
                "blocklist",
                "blacklist",
                "block list",
                "rbl",
                "dnsbl",
            ];
            v.at(ANY) && v.refused() && v.says(&lists)
        },
        "This machine's address is on {blocklist}. Look the address up there and have it taken off; or send through a \
         provider's submission port (587 or 465) with a login, where the list is not asked.",
    ),
    Cause::fails(
        "no_reverse_dns",
        "the address that the mail comes from has no name in the DNS, or one that does not lead back",
        |v| {
            let words = [
                "reverse dns",
                "ptr record",
                "reverse hostname",
                "cannot find your hostname",
                "rdns",
                "no reverse",
                "reverse lookup",
            ];
            v.at(ANY)
                && v.refused()
                && (v.enhanced(&["x.7.25", "x.7.23"]) && v.says(&["ptr", "hostname"]) || v.says(&words))
        },
        "This machine's address has no reverse DNS name that leads back to it. Ask whoever gives you the address for a PTR \
         record; or send through a provider's submission port (587 or 465) with a login.",
    ),
    Cause::fails(
        "hello_refused",
        "the server does not take the name with which this machine introduces itself",
        |v| {
            let words = ["helo", "ehlo", "need fully-qualified hostname", "invalid domain name", "fqdn"];
            v.refused()
                && (v.at(&[Step::Ehlo]) && v.code(&[501, 504, 550, 553, 554, 450])
                    || v.at(&[Step::MailFrom, Step::RcptTo, Step::Data, Step::FinalDot]) && v.says(&words))
        },
        "The server does not take the name this machine gives in EHLO. Set the EHLO name to a full name that resolves to \
         this machine, as chat.example.com, not localhost or a container's name.",
    ),
    Cause::fails(
        "dmarc_refused",
        "the mail fails the sender domain's DMARC policy",
        |v| v.at(ANY) && v.refused() && v.says(&["dmarc"]),
        "The mail fails the DMARC policy of {from_domain}. Have this server's mail signed with that domain's DKIM key, or \
         name the server in the domain's SPF record; the From address must be of that domain.",
    ),
    Cause::fails(
        "spf_refused",
        "the sender domain's SPF record does not name the server that sends",
        |v| v.at(ANY) && v.refused() && (v.enhanced(&["x.7.23", "x.7.27"]) || v.says(&["spf"])),
        "The SPF record of {from_domain} does not allow this mail's sender. Add the sending server to that record, or use a \
         sender address of a domain that names it.",
    ),
    Cause::fails(
        "dkim_refused",
        "the mail's DKIM signature is missing or wrong",
        |v| {
            let codes = ["x.7.20", "x.7.21", "x.7.22", "x.7.30"];
            v.at(ANY) && v.refused() && (v.enhanced(&codes) || v.says(&["dkim"]))
        },
        "The receiving server wants a good DKIM signature of {from_domain}. Set signing up at your mail server or provider, \
         and publish the key that it names in the domain's DNS.",
    ),
    Cause::fails(
        "sender_unauthenticated",
        "the mail passes neither SPF nor DKIM",
        |v| {
            v.at(ANY)
                && v.refused()
                && (v.enhanced(&["x.7.26"]) || v.says(&["unauthenticated", "authentication information"]))
        },
        "The receiving server cannot tell that {from_domain} really sent this. Publish an SPF record that names the sending \
         server, and have mail signed with DKIM.",
    ),
    Cause::fails(
        "virus_found",
        "a virus scanner refuses the message",
        |v| v.at(MESSAGE) && v.refused() && v.says(&["virus", "infected", "malware"]),
        "The server's virus scanner refuses the message; what it found is in its words. A false alarm is mended at that \
         scanner; else look at what the message holds.",
    ),
    Cause::fails(
        "taken_for_spam",
        "a spam filter refuses the message",
        |v| {
            let words = [
                "spam",
                "unsolicited",
                "junk",
                "content rejected",
                "message content",
                "suspicious",
                "reputation",
            ];
            v.at(MESSAGE) && v.refused() && v.says(&words)
        },
        "The server takes the message for spam. Let its filter trust this machine or the sender {from}; publish SPF and DKIM \
         for {from_domain}, and use a site URL of that domain.",
    ),
    Cause::fails(
        "unicode_not_offered",
        "the mail has addresses in letters beyond ASCII, which the server does not take",
        |v| {
            v.at(&[Step::MailFrom, Step::RcptTo, Step::Data])
                && (v.failed(Failure::NotOffered) && v.detail().contains("smtputf8")
                    || v.refused()
                        && (v.enhanced(&["5.6.7", "5.6.9"])
                            || v.says(&["smtputf8", "internationalized", "non-ascii"])))
        },
        "An address of this mail has letters beyond ASCII, which {host} does not take (no SMTPUTF8). Use a plain sender \
         address, or a server that offers SMTPUTF8.",
    ),
    Cause::fails(
        "eight_bit_not_offered",
        "the mail has octets beyond ASCII, which the server does not take",
        |v| {
            v.at(&[Step::MailFrom, Step::Data, Step::FinalDot])
                && (v.failed(Failure::NotOffered) && v.detail().contains("8bitmime")
                    || v.refused()
                        && (v.enhanced(&["5.6.1", "5.6.3"]) || v.says(&["8bitmime", "8-bit", "8bit"])))
        },
        "{host} is too old to take text beyond ASCII as it is (no 8BITMIME). Update it or send through another server.",
    ),
    Cause::fails(
        "message_malformed",
        "the server finds fault with the message's form",
        |v| {
            let words = [
                "rfc 5322",
                "rfc5322",
                "rfc 2822",
                "header",
                "line too long",
                "malformed",
                "bare lf",
                "bare cr",
            ];
            v.at(MESSAGE) && v.refused() && (v.enhanced(&["5.6.0", "5.6.2", "5.5.4"]) || v.says(&words))
        },
        "The server finds fault with the message's form, in the words beside this. Check the From name and address and the \
         Reply-To in the settings; if those are plain, report it to Postroom.",
    ),
];
