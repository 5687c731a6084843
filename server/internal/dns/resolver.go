// Package dns looks up what the core asks for, to judge a sender's DNS: it carries questions and answers, and knows
// nothing of SPF or DKIM. It asks the machine's own name servers, by miekg/dns, as net.Resolver tells neither NXDOMAIN from
// an empty answer nor SERVFAIL from a timeout.
package dns

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"postroom/server/internal/core"
)

const (
	resolvConf = "/etc/resolv.conf"
	// payload is what a UDP answer may have, as DNS flag day 2020 recommends; longer ones come by TCP.
	payload = 1232
	// perServer bounds one question to one server, perName all of them to all servers.
	perServer = 2 * time.Second
	perName   = 5 * time.Second
)

// Resolver asks name servers, one after another until one answers. The zero value asks those of /etc/resolv.conf,
// read at each test, as they may change.
type Resolver struct {
	// Servers, as host:port, are asked in place of them.
	Servers []string
	// patience takes the place of perServer in a test.
	patience time.Duration
}

// servers are never none: without a configuration a name server on this machine is asked, as Go's own resolver does.
func (r *Resolver) servers() []string {
	if len(r.Servers) > 0 {
		return r.Servers
	}
	config, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil || len(config.Servers) == 0 {
		return []string{"127.0.0.1:53", "[::1]:53"}
	}
	servers := make([]string, 0, len(config.Servers))
	for _, server := range config.Servers {
		servers = append(servers, net.JoinHostPort(server, config.Port))
	}
	return servers
}

// Lookup asks for one name, of which no search list makes another. What went wrong is the answer's status; where several
// servers fail in different ways, the last one's.
func (r *Resolver) Lookup(ctx context.Context, q core.DNSQuestion) core.DNSAnswer {
	return r.lookup(ctx, r.servers(), q)
}

func (r *Resolver) lookup(ctx context.Context, servers []string, q core.DNSQuestion) core.DNSAnswer {
	patience := cmp.Or(r.patience, perServer)
	ctx, cancel := context.WithTimeout(ctx, max(perName, patience))
	defer cancel()
	answer := core.DNSAnswer{Name: q.Name, Type: q.Type, Status: core.DNSFailed, Records: []string{}}
	name := dns.Fqdn(q.Name)
	kind, known := dns.StringToType[q.Type]
	if _, good := dns.IsDomainName(name); !known || !good {
		return answer
	}
	question := new(dns.Msg).SetQuestion(name, kind)
	question.SetEdns0(payload, false)
	for _, server := range servers {
		reply, err := exchange(ctx, question, server, patience)
		if err != nil {
			answer.Status = statusOf(err)
			if ctx.Err() != nil {
				answer.Status = core.DNSTimeout
				return answer
			}
			continue
		}
		switch reply.Rcode {
		case dns.RcodeSuccess:
			answer.Records = records(reply, kind)
			if answer.Status = core.DNSOK; len(answer.Records) == 0 {
				answer.Status = core.DNSNoData
			}
			return answer
		case dns.RcodeNameError:
			answer.Status = core.DNSNXDomain
			return answer
		case dns.RcodeServerFailure:
			answer.Status = core.DNSServFail
		case dns.RcodeRefused:
			answer.Status = core.DNSRefused
		default:
			answer.Status = core.DNSFailed
		}
	}
	return answer
}

// exchange asks one server by UDP, by TCP where that was cut short, and without EDNS0 where the server does not know it
// (RFC 6891, 7).
func exchange(ctx context.Context, question *dns.Msg, server string, patience time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := ask(ctx, question, server, patience)
	if err == nil && (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented) {
		plain := question.Copy()
		plain.Extra = nil
		reply, err = ask(ctx, plain, server, patience)
	}
	return reply, err
}

func ask(ctx context.Context, question *dns.Msg, server string, patience time.Duration) (*dns.Msg, error) {
	question = question.Copy()
	question.Id = dns.Id()
	reply, err := say(ctx, question, "udp", server, patience)
	if err == nil && reply.Truncated || errors.Is(err, dns.ErrBuf) {
		reply, err = say(ctx, question, "tcp", server, patience)
	}
	if err == nil && !answers(reply, question) {
		err = errors.New("an answer to another question")
	}
	return reply, err
}

// say asks over one connection, which ends with ctx: miekg/dns itself heeds only a context's deadline.
func say(ctx context.Context, question *dns.Msg, network, server string, patience time.Duration) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: patience}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	reply, _, err := client.ExchangeWithConnContext(ctx, question, conn)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // and not that the connection is closed
	}
	return reply, err
}

// answers holds the reply to the question. Some servers leave the question out of an error.
func answers(reply, question *dns.Msg) bool {
	if len(reply.Question) == 0 {
		return reply.Rcode != dns.RcodeSuccess
	}
	got, want := reply.Question[0], question.Question[0]
	return len(reply.Question) == 1 && got.Qtype == want.Qtype && strings.EqualFold(got.Name, want.Name)
}

func statusOf(err error) string {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return core.DNSTimeout
	}
	return core.DNSFailed
}

// records are those of the kind that was asked for; a resolver puts what an alias leads to beside it.
func records(reply *dns.Msg, kind uint16) []string {
	found := []string{}
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype != kind {
			continue
		}
		switch rr := rr.(type) {
		case *dns.A:
			found = append(found, rr.A.String())
		case *dns.AAAA:
			found = append(found, rr.AAAA.String())
		case *dns.MX:
			found = append(found, strconv.Itoa(int(rr.Preference))+" "+rr.Mx)
		case *dns.PTR:
			found = append(found, rr.Ptr)
		case *dns.TXT:
			found = append(found, text(rr.Txt))
		}
	}
	return found
}

// text joins a TXT record's strings, in which miekg/dns escapes quotes, backslashes and what is not printable ASCII.
func text(parts []string) string {
	var octets []byte
	for _, part := range parts {
		for i := 0; i < len(part); i++ {
			if part[i] != '\\' || i+1 == len(part) {
				octets = append(octets, part[i])
				continue
			}
			if code, err := strconv.ParseUint(part[i+1:min(i+4, len(part))], 10, 8); err == nil && i+3 < len(part) {
				octets = append(octets, byte(code))
				i += 3
				continue
			}
			octets = append(octets, part[i+1])
			i++
		}
	}
	return strings.ToValidUTF8(string(octets), "\uFFFD")
}
