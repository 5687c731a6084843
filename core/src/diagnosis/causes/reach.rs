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
    Cause::warns(
        "ipv6_without_route",
        "the server has an IPv6 address that this machine cannot reach; IPv4 works",
        |v| {
            v.at(&[Step::Connect])
                && v.dead().any(|(address, failure)| is_ipv6(address) && failure == Failure::Unreachable)
        },
        "{dead} cannot be reached from here, so IPv4 was used. Give this machine an IPv6 route, or prefer IPv4 in \
         /etc/gai.conf, so that no mail waits for it.",
    ),
];
