//! The server's name and its addresses.

use super::Cause;
use crate::diagnosis::view::{View, is_ipv6};
use crate::{Failure, Step};

fn connecting(v: &View<'_>, failure: Failure) -> bool {
    v.at(&[Step::Connect]) && v.failed(failure)
}

fn looking_up(v: &View<'_>, failure: Failure) -> bool {
    v.at(&[Step::Dns]) && v.failed(failure)
}

fn this_machine(v: &View<'_>) -> bool {
    let server = v.server();
    server == "localhost" || server == "::1" || server.starts_with("127.")
}

fn only_ipv6(v: &View<'_>) -> bool {
    let mut dead = v.dead().peekable();
    dead.peek().is_some() && dead.all(|(address, _)| is_ipv6(address))
}

pub(super) const CAUSES: &[Cause] = &[
    Cause::fails(
        "server_is_no_name",
        "the server setting holds more than a host name, as a port or https://",
        |v| looking_up(v, Failure::Dns) && v.server().contains([':', '/', '@']),
        "Give the server as a host name alone, as smtp.example.com; the port and the connection security have fields of \
         their own.",
    ),
    Cause::fails(
        "name_not_found",
        "the server's name has no address in the DNS",
        |v| looking_up(v, Failure::Dns) && v.detail().contains("no address"),
        "The name {host} has no address. Check its spelling, and whether the DNS servers that this machine asks know it: \
         internal names are often unknown inside a container.",
    ),
    Cause::fails(
        "name_server_trouble",
        "the name server answered that it is in trouble (SERVFAIL, REFUSED)",
        |v| looking_up(v, Failure::Dns),
        "The DNS server of this machine could not look {host} up. Check the name servers in /etc/resolv.conf, and the \
         domain's own, whose DNSSEC may be broken.",
    ),
    Cause::fails(
        "name_server_silent",
        "the name server did not answer",
        |v| looking_up(v, Failure::Timeout),
        "No DNS server answered for {host}. Check that the name servers in /etc/resolv.conf are right, and that a \
         firewall lets this machine reach them on port 53.",
    ),
    Cause::fails(
        "refused_on_this_machine",
        "nothing listens on that port of this machine, or of this container",
        |v| connecting(v, Failure::Refused) && this_machine(v),
        "Nothing listens at {server}. In a container, {host} is the container itself: give the name or address of the \
         host or container in which the mail server runs.",
    ),
    Cause::fails(
        "port_refused",
        "the machine is there, but nothing listens on that port",
        |v| connecting(v, Failure::Refused),
        "{host} refuses connections to {port}. Check the port (587 for STARTTLS, 465 for TLS), and that the mail server \
         runs and listens on more than its own loopback address.",
    ),
    Cause::fails(
        "only_ipv6_without_route",
        "the server has IPv6 addresses only, and this machine has no IPv6 route",
        |v| connecting(v, Failure::Unreachable) && only_ipv6(v),
        "{host} has IPv6 addresses only, and this machine cannot reach IPv6. Give it (or its container network) an IPv6 \
         route, or use a server that has an IPv4 address.",
    ),
    Cause::fails(
        "unreachable",
        "there is no route to the server's network, or to the server in it",
        |v| connecting(v, Failure::Unreachable),
        "There is no way from this machine to {server}. Check its routes, its VPN, and whether a firewall on the way \
         rejects the connection; check the address if it was typed.",
    ),
    Cause::fails(
        "port_25_blocked",
        "nothing answers on port 25, which most hosting providers block",
        |v| connecting(v, Failure::Timeout) && v.port(&[25]),
        "Nothing answers at {server}. Most hosting and internet providers block port 25. Use port 587 with STARTTLS or 465 \
         with TLS, or ask yours to open it.",
    ),
    Cause::fails(
        "port_blocked",
        "nothing answers on that port: a firewall drops what is sent to it, or the address is wrong",
        |v| connecting(v, Failure::Timeout),
        "Nothing answers at {server}. Look for a firewall, on this machine or at the server, that drops connections to \
         {port}, and check that the address is the right one.",
    ),
    Cause::fails(
        "connecting_not_permitted",
        "this machine's own firewall or sandbox does not let the service connect",
        |v| {
            v.at(&[Step::Connect])
                && (v.detail().contains("not permitted") || v.detail().contains("permission denied"))
        },
        "This machine does not permit connections to {server}. Look at its own firewall (nftables, iptables), SELinux and \
         the service's sandbox for a rule on outgoing connections.",
    ),
    Cause::fails(
        "connection_reset_at_once",
        "the connection was broken while it was made",
        |v| connecting(v, Failure::Reset) || connecting(v, Failure::Closed),
        "The connection to {server} was broken at once. A firewall or load balancer in front of it refuses this machine's \
         address, or has no server behind it.",
    ),
    Cause::warns(
        "ipv6_without_route",
        "the server has an IPv6 address that this machine cannot reach; IPv4 works",
        |v| {
            let lost = |(address, failure)| is_ipv6(address) && failure == Failure::Unreachable;
            v.at(&[Step::Connect]) && v.dead().any(lost)
        },
        "{dead} cannot be reached from here, so IPv4 was used. Give this machine an IPv6 route, or prefer IPv4 in \
         /etc/gai.conf, so that no mail waits for it.",
    ),
    Cause::warns(
        "an_address_is_dead",
        "one of the server's addresses does not answer; another does",
        |v| v.at(&[Step::Connect]) && v.dead().next().is_some(),
        "{dead} does not answer, so another address of {host} was used. Tell whoever runs that server, or mail waits for \
         it each time.",
    ),
];
