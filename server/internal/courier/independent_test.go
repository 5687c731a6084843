//go:build independent

// Servers that are not ours: Postfix with SASL by Dovecot, both as Debian has them, and aiosmtpd. build/independent.sh
// installs what is needed and runs these; Postfix' and Dovecot's master processes must be root.
package courier

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postroom/server/internal/core"
	"postroom/server/internal/courier/peer"
)

const thePassword = "correct horse, battery = staple"

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks =
relayhost = [127.0.0.1]:%[2]d
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[1]s/chain.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{ {nobody@example.com = REJECT Nobody is here} }
message_size_limit = 100000
smtpd_error_sleep_time = 0
alias_maps =
local_transport = error:no
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[1]s
`

const postfixMaster = `127.0.0.1:%[1]d inet n - n - - smtpd
127.0.0.1:%[2]d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

const dovecotSettings = `base_dir = %[1]s/dovecot
log_path = %[1]s/dovecot.log
protocols =
ssl = no
auth_mechanisms = plain login cram-md5 scram-sha-256
disable_plaintext_auth = no
auth_failure_delay = 0 secs
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
service auth {
  unix_listener %[1]s/spool/private/auth {
    mode = 0666
  }
}
`

// folder is one that Postfix' own user may enter.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postroom-independent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// chain is a new certificate and its key in one file; the certificate is given as PEM too.
func chain(t *testing.T, path string) string {
	t.Helper()
	config := peer.Certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	key, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]}))
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))+certificate)
	return certificate
}

// run starts a program in a group of its own, which ends with the test, and gives what it prints.
func run(t *testing.T, program string, args ...string) *lines {
	t.Helper()
	command := exec.Command(program, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatalf("%s: %v (build/independent.sh installs what is needed)", program, err)
	}
	said := &lines{}
	go func() {
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			said.mu.Lock()
			said.all = append(said.all, scanner.Text())
			said.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
		_ = command.Wait()
	})
	return said
}

type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func listening(t *testing.T, ports ...int) {
	t.Helper()
	for _, port := range ports {
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = conn.Close()
				break
			}
			if time.Since(began) > 30*time.Second {
				t.Fatal(err)
			}
		}
	}
}

// patient is a courier for a busy machine.
func patient(t *testing.T) *Courier {
	k := &Courier{Deadlines: ForTest, Name: "postroom.test", Pool: &Pool{}}
	t.Cleanup(k.Pool.Close)
	return k
}

func TestIndependentPostfix(t *testing.T) {
	sink := peer.Start(t)
	dir := folder(t)
	starttls, implicit := freePort(t), freePort(t)
	certificate := chain(t, filepath.Join(dir, "chain.pem"))
	write(t, filepath.Join(dir, "main.cf"), fmt.Sprintf(postfixMain, dir, sink.Port))
	write(t, filepath.Join(dir, "master.cf"), fmt.Sprintf(postfixMaster, starttls, implicit))
	write(t, filepath.Join(dir, "users"), "anna:{PLAIN}"+thePassword+"\n")
	write(t, filepath.Join(dir, "dovecot.conf"), fmt.Sprintf(dovecotSettings, dir))
	for _, name := range []string{"spool", "data"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	if err := os.Chown(filepath.Join(dir, "data"), uid, gid); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("/usr/sbin/postfix", "-c", dir, "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v: %s", err, said)
	}
	run(t, "/usr/sbin/dovecot", "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	run(t, "/usr/sbin/postfix", "-c", dir, "start-fg")
	listening(t, starttls, implicit)
	t.Cleanup(func() {
		if t.Failed() {
			for _, log := range []string{"mail.log", "dovecot.log"} {
				said, _ := os.ReadFile(filepath.Join(dir, log))
				t.Logf("%s: %s", log, said)
			}
		}
	})
	for _, security := range []string{"starttls", "tls"} {
		connection := core.Connection{Server: "127.0.0.1", Port: starttls, Security: security, VerifyCertificate: true, CA: certificate, Username: "anna", Password: thePassword}
		if security == "tls" {
			connection.Port = implicit
		}
		for _, mechanism := range []string{"plain", "login", "cram_md5", "scram_sha_256"} {
			t.Run(security+" "+mechanism, func(t *testing.T) {
				connection := connection
				connection.Auth = []string{mechanism}
				opened, k := 0, patient(t)
				k.Pool.Count = func(kept bool) {
					if !kept {
						opened++
					}
				}
				// Two, and between them one that is refused after DATA was sent, and one that is too large to be sent.
				for i, c := range []struct{ to, want, body string }{
					{"anna@example.com", "final_dot 250", "Hello"}, {"nobody@example.com", "rcpt_to 554", "x"},
					{"anna@example.com", "mail_from not_offered", strings.Repeat("x", 100_000)}, {"anna@example.com", "final_dot 250", "Again"},
				} {
					subject := fmt.Sprintf("%s %s %d", security, mechanism, i)
					outcome := k.Send(t.Context(), connection, Envelope{mail.From, c.to, []byte("Subject: " + subject + "\r\nMessage-ID: <1@example.com>\r\n\r\n.\r\n" + c.body + "\r\n")})
					if told(outcome) != c.want {
						t.Fatalf("%s: %+v", subject, outcome)
					}
					if c.want == "final_dot 250" {
						waitFor(t, func() bool {
							for _, taken := range sink.Mails() {
								if strings.Contains(taken.Data, "Subject: "+subject+"\r\n") && strings.HasSuffix(taken.Data, "\r\n\r\n.\r\n"+c.body+"\r\n") {
									return true
								}
							}
							return false
						})
					}
					waitFor(t, func() bool { return k.Pool.idling() == 1 })
				}
				if opened != 1 {
					t.Errorf("%d connections", opened)
				}
				connection.Password = "wrong"
				if outcome := k.Send(t.Context(), connection, mail); told(outcome) != "auth 535" {
					t.Errorf("%+v", outcome)
				}
			})
		}
		connection.Auth, connection.Pin = []string{"plain"}, strings.Repeat("0", 64)
		if outcome := patient(t).Send(t.Context(), connection, mail); told(outcome) != "tls certificate" {
			t.Errorf("another's key: %+v", outcome)
		}
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 60*time.Second {
			t.Fatal("does not come")
		}
	}
}

func TestIndependentAiosmtpd(t *testing.T) {
	dir := folder(t)
	implicit, starttls := freePort(t), freePort(t)
	certificate := chain(t, filepath.Join(dir, "chain.pem"))
	said := run(t, os.Getenv("AIOSMTPD_PYTHON"), "testdata/aiosmtpd_server.py", strconv.Itoa(implicit), strconv.Itoa(starttls), filepath.Join(dir, "chain.pem"), thePassword)
	waitFor(t, func() bool { return strings.HasPrefix(said.text(), "ready") })
	for _, security := range []string{"starttls", "tls"} {
		for _, mechanism := range []string{"plain", "login"} {
			connection := core.Connection{
				Server: "127.0.0.1", Port: starttls, Security: security, VerifyCertificate: true, CA: certificate,
				Auth: []string{mechanism}, Username: "anna", Password: thePassword,
			}
			if security == "tls" {
				connection.Port = implicit
			}
			k := patient(t)
			for i := range 2 {
				to := fmt.Sprintf("%s-%s-%d@example.com", security, mechanism, i)
				if outcome := k.Send(t.Context(), connection, Envelope{mail.From, to, bytes.ReplaceAll(mail.Message, []byte("Hello"), []byte(to))}); told(outcome) != "final_dot 250" {
					t.Errorf("%+v", outcome)
				}
				waitFor(t, func() bool { return strings.Contains(said.text(), `Subject: `+to) })
			}
			connection.Password = "wrong"
			if outcome := k.Send(t.Context(), connection, mail); told(outcome) != "auth 535" {
				t.Errorf("%+v", outcome)
			}
		}
	}
}
