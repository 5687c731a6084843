//! Reads a DMARC record (RFC 9989, section 4.7, which replaces RFC 7489), and finds the one that counts (4.10).

use super::domain;
use super::lookups::{Found, Lookups, Trouble, Type};
use super::tags::Tags;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    None,
    Quarantine,
    Reject,
}

impl Policy {
    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "quarantine" => Some(Self::Quarantine),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) policy: Policy,
    /// Of subdomains, where it is another.
    pub(super) subdomains: Option<Policy>,
    /// SPF's domain has to be the From address's own, and not only of the same organisation.
    pub(super) strict_spf: bool,
    /// Addresses for reports: the domains of those that can be read, and whether any can't.
    pub(super) reports: Vec<String>,
    pub(super) bad_reports: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// As words that follow "the record".
    Syntax(String),
    NoPolicy,
    BadPolicy(String),
}

/// Whether a TXT record is a DMARC record at all: its first tag is `v=DMARC1`, letter for letter.
pub(super) fn is_dmarc(text: &str) -> bool {
    version(text) == Some("DMARC1")
}

/// It was meant to be one.
pub(super) fn looks_like_dmarc(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("dmarc1") || text.contains("v=dmarc") || text.starts_with("p=")
}

fn version(text: &str) -> Option<&str> {
    let (name, value) = text.split(';').next()?.split_once('=')?;
    (name.trim_matches(BLANK) == "v" && !name.starts_with(BLANK)).then_some(value.trim_matches(BLANK))
}

const BLANK: [char; 2] = [' ', '\t'];

pub(super) fn read(text: &str) -> Result<Record, Fault> {
    let tags = Tags::read(text).map_err(Fault::Syntax)?;
    let policy = match tags.get("p") {
        None => return Err(Fault::NoPolicy),
        Some(p) => Policy::read(p).ok_or_else(|| Fault::BadPolicy(p.to_owned()))?,
    };
    let mut record = Record {
        policy,
        subdomains: tags.get("sp").and_then(Policy::read),
        strict_spf: tags.get("aspf").is_some_and(|mode| mode.eq_ignore_ascii_case("s")),
        reports: Vec::new(),
        bad_reports: false,
    };
    for uri in tags.get("rua").into_iter().flat_map(|list| list.split(',')).map(|uri| uri.trim_matches(BLANK))
    {
        match mailbox_domain(uri) {
            Some(domain) if !record.reports.contains(&domain) => record.reports.push(domain),
            Some(_) => {}
            None => record.bad_reports = true,
        }
    }
    Ok(record)
}

/// The domain of `mailto:reports@acme.net`, a size (`!10m`) and a query left out.
fn mailbox_domain(uri: &str) -> Option<String> {
    let (scheme, address) = uri.split_once(':')?;
    let address = address.split(['!', '?']).next()?;
    let (local, domain) = address.rsplit_once('@')?;
    let good = scheme.eq_ignore_ascii_case("mailto") && !local.is_empty() && domain.contains('.');
    domain::name(domain).filter(|_| good)
}

/// The names that the walk up the tree asks at, the longest first: 8 at most, of which the second has 7 labels (4.10).
fn nodes(domain: &str) -> Vec<&str> {
    let mut nodes = vec![domain];
    let mut next = domain::parent(domain);
    while let Some(name) = next {
        if name.split('.').count() <= 7 {
            nodes.push(name);
        }
        next = domain::parent(name);
    }
    nodes
}

/// What the walk found at a name: exactly one record, for more than one are none.
pub(super) struct Node<'a> {
    pub(super) domain: String,
    pub(super) text: &'a str,
    psd: Option<&'a str>,
}

/// The records from a domain upwards.
pub(super) struct Tree<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// The first name with several records.
    pub(super) several: Option<String>,
    pub(super) trouble: Option<(String, Trouble)>,
}

/// `None` while answers are missing.
pub(super) fn walk<'a>(lookups: &Lookups<'a>, domain: &str) -> Option<Tree<'a>> {
    let mut tree = Tree { nodes: Vec::new(), several: None, trouble: None };
    let mut pending = false;
    for node in nodes(domain) {
        match lookups.get(&format!("_dmarc.{node}"), Type::Txt) {
            Found::Pending => pending = true,
            Found::NoData | Found::NxDomain => {}
            Found::Trouble(trouble) => {
                // Above the domain itself a lame name server is somebody else's: a registry's, mostly.
                if node == domain {
                    tree.trouble = Some((format!("_dmarc.{node}"), trouble));
                }
            }
            Found::Records(records) => {
                let mut dmarc = records.iter().filter(|text| is_dmarc(text));
                match (dmarc.next(), dmarc.next()) {
                    (None, _) => {}
                    (Some(text), None) => {
                        let psd = Tags::read(text).ok().and_then(|tags| tags.get("psd"));
                        tree.nodes.push(Node { domain: node.to_owned(), text, psd });
                    }
                    (Some(_), Some(_)) => tree.several = tree.several.or_else(|| Some(node.to_owned())),
                }
            }
        }
    }
    (!pending).then_some(tree)
}

impl<'a> Tree<'a> {
    /// The organisation's own domain (4.10.2).
    pub(super) fn organisation<'d>(&'d self, domain: &'d str) -> &'d str {
        for node in &self.nodes {
            match node.psd {
                Some("n") => return &node.domain,
                // A registry's: the organisation is one label below.
                Some("y") if node.domain != domain => {
                    let below = domain
                        .strip_suffix(node.domain.as_str())
                        .map_or("", |rest| rest.trim_end_matches('.'));
                    let label = below.rsplit('.').next().unwrap_or_default();
                    let length = label.len() + 1 + node.domain.len();
                    return domain.get(domain.len().saturating_sub(length)..).unwrap_or(domain);
                }
                _ => {}
            }
        }
        self.nodes.last().map_or(domain, |node| &node.domain)
    }

    /// The record that counts for mail from `domain` (4.10.1): its own, else its organisation's, else the registry's.
    pub(super) fn record(&self, domain: &str) -> Option<&Node<'a>> {
        let organisation = self.organisation(domain);
        let at = |name: &str| self.nodes.iter().find(|node| node.domain == name);
        at(domain)
            .or_else(|| at(organisation))
            .or_else(|| self.nodes.iter().find(|node| node.psd == Some("y")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records() {
        for text in ["v=DMARC1; p=none", "v=DMARC1;p=reject;", "v = DMARC1 ; p=none", "v=DMARC1"] {
            assert!(is_dmarc(text), "{text}");
        }
        for text in
            ["v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC1 p=none", " v=DMARC1; p=none", "v=DMARC2", ""]
        {
            assert!(!is_dmarc(text), "{text}");
        }
        let record =
            read("v=DMARC1; p=Reject; sp=none; aspf=s; rua=mailto:a@acme.net!10m, mailto:b@x.acme.org")
                .unwrap();
        assert_eq!(record.policy, Policy::Reject);
        assert_eq!(record.subdomains, Some(Policy::None));
        assert!(record.strict_spf && !record.bad_reports);
        assert_eq!(record.reports, ["acme.net", "x.acme.org"]);
        assert!(read("v=DMARC1; p=none; rua=a@acme.net").unwrap().bad_reports);
        assert!(read("v=DMARC1; p=none; rua=https://acme.net/").unwrap().bad_reports);
        assert_eq!(read("v=DMARC1"), Err(Fault::NoPolicy));
        assert_eq!(read("v=DMARC1; p=block"), Err(Fault::BadPolicy("block".into())));
        assert!(matches!(read("v=DMARC1; p=none p=none; reject"), Err(Fault::Syntax(_))));
    }

    #[test]
    fn the_walk() {
        assert_eq!(
            nodes("a.mail.acme.co.uk"),
            ["a.mail.acme.co.uk", "mail.acme.co.uk", "acme.co.uk", "co.uk", "uk"]
        );
        let long = nodes("a.b.c.d.e.f.g.h.i.j.mail.example.com");
        assert_eq!(long.len(), 8);
        assert_eq!(long[1], "g.h.i.j.mail.example.com");
        assert_eq!(long[7], "com");
        assert_eq!(nodes("a.b.c.d.mail.acme.co.uk").len(), 8);
    }

    fn tree(nodes: &[(&str, Option<&'static str>)]) -> Tree<'static> {
        let nodes = nodes
            .iter()
            .map(|(domain, psd)| Node { domain: (*domain).to_owned(), text: "", psd: *psd })
            .collect();
        Tree { nodes, several: None, trouble: None }
    }

    /// RFC 9989, section 4.10.2.
    #[test]
    fn organisations() {
        let check = |nodes: &[(&str, Option<&'static str>)],
                     domain: &str,
                     organisation: &str,
                     record: Option<&str>| {
            let tree = tree(nodes);
            assert_eq!(tree.organisation(domain), organisation);
            assert_eq!(tree.record(domain).map(|node| node.domain.as_str()), record);
        };
        check(&[], "a.acme.net", "a.acme.net", None);
        check(&[("acme.net", None)], "a.acme.net", "acme.net", Some("acme.net"));
        check(&[("a.acme.net", None), ("acme.net", None)], "a.acme.net", "acme.net", Some("a.acme.net"));
        check(
            &[("a.acme.net", Some("n")), ("acme.net", None)],
            "a.acme.net",
            "a.acme.net",
            Some("a.acme.net"),
        );
        check(&[("bank", Some("y"))], "a.acme.bank", "acme.bank", Some("bank"));
        check(&[("acme.bank", None), ("bank", Some("y"))], "a.acme.bank", "acme.bank", Some("acme.bank"));
        check(&[("acme.bank", Some("y"))], "acme.bank", "acme.bank", Some("acme.bank"));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(v=DMARC1|p=none|rua=mailto:[ -~]{0,12}|;|[ -~]{0,12}){0,8}|\\PC{0,60}") {
            let _ = (is_dmarc(&text), read(&text));
        }

        #[test]
        fn any_tree_has_an_organisation_within(at in prop::collection::vec((0_usize..6, prop::sample::select(vec![None, Some("n"), Some("y")])), 0..4)) {
            let domain = "a.b.c.acme.net";
            let all = super::nodes(domain);
            let mut found: Vec<(&str, Option<&'static str>)> = at.iter().filter_map(|(i, psd)| all.get(*i).map(|name| (*name, *psd))).collect();
            found.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            found.dedup_by_key(|(name, _)| *name);
            let tree = tree(&found);
            let organisation = tree.organisation(domain);
            prop_assert!(!organisation.is_empty() && domain::is_within(domain, organisation), "{organisation}");
        }
    }
}
