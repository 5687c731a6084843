package courier

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

// together is how many mails are under way at once.
const together = 10

// BenchmarkPool is mails per second to a server with TLS and AUTH, as it stands and with 50 ms more for each round trip:
// with kept connections, with one for each mail, and with Mattermost's manners (net/smtp, a connection for each mail and
// no QUIT). `make bench` shows it as the part "pool".
func BenchmarkPool(b *testing.B) {
	for _, security := range []string{"tls", "starttls"} {
		for _, more := range []time.Duration{0, 50 * time.Millisecond} {
			for _, manner := range []string{"Mattermost", "a_connection_each", "pooled"} {
				b.Run(fmt.Sprintf("%s/%d_ms/%s", security, more.Milliseconds(), manner), func(b *testing.B) {
					benchmark(b, security, more, manner)
				})
			}
		}
	}
}

func benchmark(b *testing.B, security string, more time.Duration, manner string) {
	p := peer.Start(b, func(p *peer.Peer) {
		p.TLS = peer.Certificate(b, time.Now().Add(time.Hour), "127.0.0.1")
		p.Implicit = security == "tls"
		p.Extensions = append(p.Extensions, "AUTH PLAIN LOGIN")
		if !p.Implicit {
			p.Extensions = append(p.Extensions, "STARTTLS")
		}
	})
	connection := core.Connection{
		Server: "127.0.0.1", Port: p.Port, Security: security, Auth: []string{"plain"}, Username: "user", Password: "password",
	}
	if more > 0 {
		connection.Port = farAway(b, p.Port, more)
	}
	k := &Courier{Deadlines: ForQueue, Name: "postroom.test"}
	if manner == "pooled" {
		k.Pool = &Pool{}
		defer k.Pool.Close()
	}
	letter := Envelope{mail.From, mail.To, []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 300))}
	var sent atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	b.ResetTimer()
	for range together {
		all.Go(func() {
			for sent.Add(1) <= int64(b.N) {
				if manner == "Mattermost" {
					if err := asMattermost(connection, letter); err != nil {
						b.Error(err)
					}
				} else if outcome := k.Send(b.Context(), connection, letter); told(outcome) != "final_dot 250" {
					b.Errorf("%+v", outcome)
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "mails/s")
	if got := len(p.Mails()); got != b.N {
		b.Errorf("%d mails of %d", got, b.N)
	}
}

// asMattermost sends as server/platform/shared/mail does: all of it anew for each mail, a step at a time.
func asMattermost(to core.Connection, mail Envelope) error {
	conn, err := net.Dial("tcp", net.JoinHostPort(to.Server, strconv.Itoa(to.Port)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	config := &tls.Config{ServerName: to.Server, InsecureSkipVerify: true}
	if to.Security == "tls" {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, to.Server)
	if err != nil {
		return err
	}
	if err := client.Hello("localhost"); err != nil {
		return err
	}
	if to.Security == "starttls" {
		if err := client.StartTLS(config); err != nil {
			return err
		}
	}
	if err := client.Auth(smtp.PlainAuth("", to.Username, to.Password, to.Server)); err != nil {
		return err
	}
	if err := client.Mail(mail.From); err != nil {
		return err
	}
	if err := client.Rcpt(mail.To); err != nil {
		return err
	}
	body, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := body.Write(mail.Message); err != nil {
		return err
	}
	return body.Close()
}

// farAway is a way to that port on which each round trip takes so much longer, that of TCP's own handshake included.
func farAway(b *testing.B, port int, more time.Duration) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				time.Sleep(more)
				far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					_ = near.Close()
					return
				}
				go late(far, near, more/2)
				late(near, far, more/2)
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// late carries what is read, each part so much later.
func late(to io.WriteCloser, from io.Reader, by time.Duration) {
	type part struct {
		octets []byte
		at     time.Time
	}
	parts := make(chan part, 1024)
	go func() {
		defer close(parts)
		for {
			octets := make([]byte, 32<<10)
			n, err := from.Read(octets)
			if n > 0 {
				parts <- part{octets[:n], time.Now().Add(by)}
			}
			if err != nil {
				return
			}
		}
	}()
	for next := range parts {
		time.Sleep(time.Until(next.at))
		_, _ = to.Write(next.octets)
	}
	_ = to.Close()
}
