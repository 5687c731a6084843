package harness

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Submission is a way into an SMTP server, with Mattermost's manners (R22): TLS that checks no certificate, AUTH PLAIN,
// EHLO localhost, BODY=8BITMIME, a connection for each mail, and no QUIT.
type Submission struct {
	Address            string
	Username, Password string // no AUTH without a name
	Plain              bool   // no TLS
}

// Submission is where Mattermost's mail goes by the node's configuration on disk: the relay, once it is on.
func (n *Node) Submission() (Submission, error) {
	raw, err := os.ReadFile(filepath.Join(n.Dir, "config", "config.json"))
	if err != nil {
		return Submission{}, err
	}
	return submission(raw)
}

// Submission is the same by a configuration that several nodes share in their database.
func (p *Postgres) Submission(database string) (Submission, error) {
	rows, err := p.Rows(database, `SELECT value FROM configurations WHERE active`)
	if err != nil || len(rows) != 1 {
		return Submission{}, fmt.Errorf("%d active configurations: %w", len(rows), err)
	}
	return submission([]byte(rows[0]))
}

func submission(raw []byte) (Submission, error) {
	var config struct {
		EmailSettings struct{ SMTPServer, SMTPPort, SMTPUsername, SMTPPassword, ConnectionSecurity string }
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return Submission{}, err
	}
	in := config.EmailSettings
	if in.ConnectionSecurity != "TLS" {
		return Submission{}, fmt.Errorf("mail of Mattermost's goes to %s:%s without TLS: that is not the relay", in.SMTPServer, in.SMTPPort)
	}
	return Submission{Address: net.JoinHostPort(in.SMTPServer, in.SMTPPort), Username: in.SMTPUsername, Password: in.SMTPPassword}, nil
}

// Submitted is what became of handing a mail over.
type Submitted string

// Accepted has its 250; Refused has a 4xx or 5xx, or no whole mail was sent; Unknown is a connection that died between
// the final dot and its reply.
const (
	Accepted Submitted = "accepted"
	Refused  Submitted = "refused"
	Unknown  Submitted = "unknown"
)

// submitWithin bounds a whole submission: more than the relay waits for its database.
const submitWithin = 90 * time.Second

// Send hands over one mail for one recipient, and tries once. The error says at what the mail was not accepted.
func (s Submission) Send(from, to string, message []byte) (Submitted, error) {
	return s.SendAll(from, []string{to}, message)
}

// SendAll hands over one mail for several recipients.
func (s Submission) SendAll(from string, to []string, message []byte) (Submitted, error) {
	conn, in, err := s.login()
	if err != nil {
		return Refused, err
	}
	defer func() { _ = conn.Close() }()
	type step struct{ say, want string }
	steps := []step{{"MAIL FROM:<" + from + "> BODY=8BITMIME", "250"}}
	for _, recipient := range to {
		steps = append(steps, step{"RCPT TO:<" + recipient + ">", "250"})
	}
	for _, step := range append(steps, step{"DATA", "354"}) {
		if _, err := converse(conn, in, step.say+"\r\n", step.want); err != nil {
			return Refused, err
		}
	}
	stuffed := strings.ReplaceAll("\r\n"+string(message), "\r\n.", "\r\n..")[2:]
	if _, err := conn.Write([]byte(stuffed)); err != nil {
		return Refused, err
	}
	switch reply, err := converse(conn, in, "\r\n.\r\n", "250"); {
	case err == nil:
		return Accepted, nil
	case reply != "":
		return Refused, err
	default:
		return Unknown, err
	}
}

// Check logs in and leaves.
func (s Submission) Check() error {
	conn, _, err := s.login()
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func (s Submission) login() (net.Conn, *bufio.Reader, error) {
	conn, err := net.DialTimeout("tcp", s.Address, 10*time.Second)
	if err != nil {
		return nil, nil, err
	}
	if !s.Plain {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // as Mattermost is told to
	}
	_ = conn.SetDeadline(time.Now().Add(submitWithin))
	in := bufio.NewReader(conn)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + s.Username + "\x00" + s.Password))
	steps := []struct{ say, want string }{{"", "220"}, {"EHLO localhost\r\n", "250"}, {"AUTH PLAIN " + plain + "\r\n", "235"}}
	if s.Username == "" {
		steps = steps[:2]
	}
	for _, step := range steps {
		if _, err := converse(conn, in, step.say, step.want); err != nil {
			_ = conn.Close()
			return nil, nil, err
		}
	}
	return conn, in, nil
}

// converse says something and gives the last line of the reply, "" if none came whole; an error if it has another code.
func converse(conn net.Conn, in *bufio.Reader, say, want string) (string, error) {
	what, _, _ := strings.Cut(strings.TrimSpace(say), " ")
	if _, err := conn.Write([]byte(say)); err != nil {
		return "", fmt.Errorf("at %q: %w", what, err)
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("at %q: %w", what, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if _, err := strconv.Atoi(line[:min(3, len(line))]); err != nil || !strings.HasPrefix(line, want) {
			return line, fmt.Errorf("at %q: %s", what, line)
		}
		return line, nil
	}
}

// SubmitAsNobody tries to hand over a mail as another user of this machine where this is root, and tells what became of
// it. Without a username there is no login.
func (s *Stage) SubmitAsNobody(to Submission) (string, error) {
	cred, err := otherUser()
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir, err := s.Folder("nobody")
	if err != nil {
		return "", err
	}
	copied := filepath.Join(dir, "helper")
	if err := errors.Join(copyFile(self, copied, 0o755), giveAway(dir, cred)); err != nil {
		return "", err
	}
	cmd := exec.Command(copied)
	cmd.Dir = dir
	cmd.Env = []string{helperVariable + "=" + helperSubmit, "TO=" + to.Address, "AS=" + to.Username, "PASSWORD=" + to.Password}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// runSubmit is the helper.
func runSubmit(out io.Writer) int {
	how, err := Submission{Address: os.Getenv("TO"), Username: os.Getenv("AS"), Password: os.Getenv("PASSWORD")}.
		Send("a@b.test", "c@d.test", []byte("Subject: hello\r\n\r\nhello\r\n"))
	_, _ = fmt.Fprintln(out, os.Getuid(), how, err)
	return 0
}
